"""Changes of a configuration, and a name with all that a name may hold."""

# Options, commands, quotes, wildcards and patterns, for the shell, for Snakemake and for make.
ODD = "-x .a b'c\"d;e&f$(touch INJECTED)`touch INJECTED`{run}{g %i ü|<>*?#!~[k]\\\n$(z)"


def change(config: dict, key: str, value: object) -> None:
    """Set a nested entry, such as data.crops.train. None removes it."""
    *folders, last = key.split(".")
    for name in folders:
        config = config[int(name)] if name.isdigit() else config[name]
    if value is None:
        del config[last]
    else:
        config[int(last) if last.isdigit() else last] = value

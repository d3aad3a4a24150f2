"""Changes of a configuration."""


def change(config: dict, key: str, value: object) -> None:
    """Set a nested entry, such as data.crops.train. None removes it."""
    *folders, last = key.split(".")
    for name in folders:
        config = config[int(name)] if name.isdigit() else config[name]
    if value is None:
        del config[last]
    else:
        config[int(last) if last.isdigit() else last] = value

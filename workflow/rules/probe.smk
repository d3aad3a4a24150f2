# Before any job every net is built and run as it will be: what cannot work is refused in seconds. It is no rule: the
# other rules would take its result as ancient, and Snakemake overlooks what else has changed of a job whose only input
# that is made anew is ancient.
import hashlib
import subprocess

PROBED = Path(RUN, "nets/probe.json")


def nets_as_made():
    """Each net's entry of the configuration with its seed and the settings that it is made from."""
    return {
        net: {"seed": number, **entry, "settings": net_settings(config, number)}
        for number, (net, entry) in enumerate(zip(NETS, config["nets"]))
    }


def probe_command():
    return [
        *(sys.executable, "-m", "workflow.convergent.nets.probe", PROBED),
        *("--nets", json.dumps(nets_as_made())),  # in their order, which messages keep
        *("--channels", channels(config["data"])),
        *("--layers", *LAYERS, "--size", config["data"]["size"]),
        *("--classes", classes(config["data"])),
        *("--resample", config["resample"], "--pair", *TWO),
        *("--clusters", config["clustering"]["clusters"], "--clustered", *CLUSTERED),
        *("--unit", config["figures"]["unit"]),
        *("--mapped", *spatial(config, STITCHED)[:1]),
    ]


def probe_nets():
    """Stop where a net cannot work. Nets that were probed and have not changed are not probed again."""
    if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
        return  # this process need not have the packages of the jobs
    command = list(map(str, probe_command()))
    weights = [weights_digest(e) for e in config["nets"] if "weights" in e]
    own = tracked_own_code(config["nets"])
    text = as_json([command, stage("nets.probe"), own, weights])
    made_from = hashlib.sha256(text.encode()).hexdigest()
    if not was_probed(made_from):
        status = subprocess.run([*command, "--made-from", made_from]).returncode
        if status < 0:
            raise SystemExit(
                f"nets.probe: killed by signal {-status}; 9 is for want of memory"
            )
        if status:
            raise SystemExit(status)


def was_probed(made_from):
    try:
        return json.loads(PROBED.read_text())["made_from"] == made_from
    except (OSError, ValueError, LookupError, TypeError):
        return False

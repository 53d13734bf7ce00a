"""What to change when SLURM refuses a job: its messages name no setting of ours."""

from __future__ import annotations

REMEDIES = {
    "invalid partition specified": "no such partition here: set slurm_partition "
    "(`sinfo -o %P` lists what there is)",
    "Invalid account": "no such account, or not yours: set slurm_account "
    "(`sacctmgr show associations user=$USER` lists them)",
    "Invalid generic resource": "no such GPU here: set gpu_model (`sinfo -o '%P %G'`)",
    "Requested node configuration is not available": "no node of the partition has that GPU, that "
    "many, or that much memory: set slurm_partition, gpu_model and mem_mb "
    "(`sinfo -o '%P %G %m %c'`)",
    "More processors requested than permitted": "no node has as many CPUs as the rule's threads: "
    "give --max-threads (`sinfo -o '%P %c'`)",
    "Requested time limit is invalid": "the partition's walltime is shorter: set runtime "
    "(`sinfo -o '%P %l'`)",
}


def remedies(log: str) -> list[str]:
    """For what SLURM refused according to Snakemake's log: what to set in slurm/config.yaml."""
    return [
        f"slurm/config.yaml: {remedy}" for message, remedy in REMEDIES.items() if message in log
    ]

"""CPU, memory and instructions of whole processes."""
import os
import subprocess


def median(values):
    return sorted(values)[len(values) // 2]


def cpu(command):
    """Seconds of user and system time."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
        _, status, used = os.wait4(pid, 0)
    finally:
        os.close(null)
    if status:
        raise RuntimeError("%s failed: %d" % (" ".join(command), status))
    return used.ru_utime + used.ru_stime


def peak(command, folder):
    """Peak RSS in KiB. By time(1): a child of this interpreter would inherit its size."""
    path = os.path.join(folder, "peak")
    subprocess.run(["time", "-f", "%M", "-o", path] + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with open(path, encoding="ascii") as f:
        return int(f.read())


def count_instructions(command, folder):
    """Callgrind's count, in millions."""
    said = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + folder + "/callgrind"] + command, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, encoding="utf-8", check=True).stderr
    return int(said.split("Collected : ")[1].split()[0]) / 1e6


def instruction_set():
    """What programs find under valgrind, which knows nothing above AVX2."""
    with open("/proc/cpuinfo", encoding="ascii") as f:
        words = f.read().split()
    for name, flag in (("AVX2", "avx2"), ("SSE2", "sse2"), ("NEON", "asimd")):
        if flag in words:
            return name
    return os.uname().machine

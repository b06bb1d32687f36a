#!/usr/bin/python3
"""Pages out of the kernel's virtual camera (vivid): what goes into its output node is seen by its capture node, as over an HDMI cable."""
import io
import os
import sys

from PIL import Image

import pictures
import suite
from machine import Machine, ROOT

SAMPLES = os.path.join(ROOT, "tests/samples/pages")
SIZES = {"1080p": (1920, 1080, 30), "4k": (3840, 2160, 10)}
FORMATS = {"yuyv": ("YUYV", pictures.yuyv), "nv12": ("NV12", pictures.nv12)}
LIKE_DB = 32      # the same page: JPEG costs a little; another range of values, a shift, an empty picture far more
APART_DB = 8      # any other page
MAX_SIDE = 2048
CAPTURE = "/usr/libexec/pageferry/pageferry-capture"
machine = None
originals = {}
before_camera = None    # what feed() has put there


def frame_name(size, fmt, sample):
    return "/test/%s-%s.%s" % (sample, size, fmt)


def frames():
    """Raw frames for the machine; their originals stay here."""
    files = {}
    for size, fmt, sample in (("1080p", "yuyv", "invoice-1"), ("1080p", "nv12", "receipt-1"), ("4k", "yuyv", "statement-1"), ("4k", "nv12", "invoice-2"),
                              ("1080p", "yuyv", "receipt-2")):
        width, height, _ = SIZES[size]
        image = pictures.page(os.path.join(SAMPLES, sample + ".jpg"), width, height)
        originals[sample] = image
        files[frame_name(size, fmt, sample)] = FORMATS[fmt][1](image)
    return files


# ---- the camera ---------------------------------------------------------------------------------------------------------

def let_go():
    """
    The feeder ends, and nobody has a node open: the service's helper has when it looks at the camera at its start. A driver that is in use
    is not unloaded, and a node's timings cannot be set while anybody has buffers of it.
    """
    machine.run("systemctl stop feeder 2>/dev/null; systemctl reset-failed feeder 2>/dev/null; rm -f /run/feeder")
    machine.wait("! ls -l /proc/[0-9]*/fd 2>/dev/null | grep /dev/video")


def plug(multiplanar=1):
    """The camera appears, with its cable on the output node."""
    global before_camera
    before_camera = None
    let_go()
    machine.run("""modprobe -r vivid
        modprobe vivid n_devs=1 node_types=0x101 num_inputs=2 input_types=0xc num_outputs=1 output_types=1 ccs_cap_mode=0 ccs_out_mode=0 multiplanar=%d
        udevadm settle""" % multiplanar)
    connect()


def unplug():
    """The camera's nodes go. (vivid's control "disconnect" lasts only until the last who had one of them open lets go.)"""
    let_go()
    machine.run("modprobe -r vivid && udevadm settle")


def connect():
    machine.run("v4l2-ctl -d /dev/video0 -i 1 && v4l2-ctl -d /dev/video0 -c hdmi_000_0_is_connected_to=2,osd_text_mode=2")


def feed(size, fmt, sample):
    """Puts a page before the camera: from when this returns, it is what the camera sees."""
    global before_camera
    if before_camera == (size, fmt, sample) and machine.attempt("systemctl -q is-active feeder")[0] == 0:
        return
    width, height, fps = SIZES[size]
    timings = "cvt,width=%d,height=%d,fps=%d" % (width, height, fps)
    let_go()
    machine.run("""set -e
        v4l2-ctl -d /dev/video1 --set-dv-bt-timings %(timings)s
        v4l2-ctl -d /dev/video0 --set-dv-bt-timings %(timings)s
        v4l2-ctl -d /dev/video1 --set-fmt-video-out width=%(width)d,height=%(height)d,pixelformat=%(fourcc)s,colorspace=smpte170m
        systemd-run -q --unit=feeder -p StandardOutput=file:/run/feeder -p StandardError=file:/run/feeder \\
            v4l2-ctl -d /dev/video1 --stream-out-mmap=4 --stream-from=%(file)s --stream-loop""" % {
                "timings": timings, "width": width, "height": height, "fourcc": FORMATS[fmt][0], "file": frame_name(size, fmt, sample)})
    machine.wait("grep -q '>' /run/feeder", 30)  # v4l2-ctl writes one for each frame
    before_camera = (size, fmt, sample)


def control(name, value=1):
    machine.run("v4l2-ctl -d /dev/video0 -c %s=%d" % (name, value))


def expect(jpeg, sample):
    """The JPEG is of this page and of no other."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    scale = min(1, MAX_SIDE / max(originals[sample].size))
    size = tuple(round(s * scale) for s in originals[sample].size)
    assert image.size == size, (image.size, size)
    found = {name: pictures.psnr(image, o.resize(size, Image.LANCZOS)) for name, o in originals.items()}
    print("# %s %dx%d: %.1f dB; others %.1f at most" % (sample, *size, found[sample], max(v for n, v in found.items() if n != sample)))
    assert found[sample] >= LIKE_DB and all(v < found[sample] - APART_DB for n, v in found.items() if n != sample), found


def capture(fmt, seconds=120):
    """By the hand tool: (exit status, output, the JPEG or None)."""
    code, output = machine.attempt("rm -rf /tmp/out; mkdir /tmp/out; %s --source v4l2:/dev/video0,format=%s --out /tmp/out" % (CAPTURE, fmt), seconds)
    names = machine.run("ls /tmp/out").split()
    return code, output.decode(errors="replace"), machine.read("/tmp/out/" + names[0]) if names else None


def expect_capture(fmt, sample):
    code, output, jpeg = capture(fmt)
    assert code == 0 and jpeg, output
    expect(jpeg, sample)


# ---- pages --------------------------------------------------------------------------------------------------------------

def test_a_page_at_1080p_in_yuyv():
    plug()
    feed("1080p", "yuyv", "invoice-1")
    expect_capture("yuyv", "invoice-1")


def test_a_page_at_1080p_in_nv12():
    feed("1080p", "nv12", "receipt-1")
    expect_capture("nv12", "receipt-1")


def test_a_page_at_4k_in_yuyv():
    feed("4k", "yuyv", "statement-1")
    expect_capture("yuyv", "statement-1")


def test_a_page_at_4k_in_nv12():
    feed("4k", "nv12", "invoice-2")
    expect_capture("nv12", "invoice-2")


def test_a_page_of_a_multi_planar_node():
    plug(multiplanar=2)
    assert "Multiplanar" in machine.run("v4l2-ctl -d /dev/video0 --info")
    try:
        feed("1080p", "nv12", "receipt-1")
        expect_capture("nv12", "receipt-1")
    finally:
        plug()


def test_the_next_page_is_not_the_one_before():
    feed("1080p", "yuyv", "invoice-1")
    expect_capture("yuyv", "invoice-1")
    feed("1080p", "yuyv", "receipt-2")
    expect_capture("yuyv", "receipt-2")


# ---- faults -------------------------------------------------------------------------------------------------------------

def stand():
    """What the tests of faults stand on."""
    feed("1080p", "yuyv", "receipt-2")


def test_a_damaged_frame_is_passed_over():
    stand()
    control("inject_v4l2_buf_flag_error")
    expect_capture("yuyv", "receipt-2")


def test_frames_that_are_dropped_are_waited_for():
    stand()
    control("percentage_of_dropped_buffers", 60)
    try:
        expect_capture("yuyv", "receipt-2")
    finally:
        control("percentage_of_dropped_buffers", 0)


def refused_once(name):
    """An error of the driver at the start: said, and the next page comes. The feeder would get the error too, so it is not there meanwhile."""
    stand()
    machine.run("systemctl stop feeder")
    control(name)
    code, output, jpeg = capture("yuyv")
    assert code and not jpeg and "/dev/video0: cannot" in output, (code, output)
    stand()
    expect_capture("yuyv", "receipt-2")


def test_buffers_that_are_refused():
    refused_once("inject_vidioc_reqbufs_error")


def test_a_buffer_that_is_not_taken():
    refused_once("inject_vidioc_qbuf_error")


def test_a_stream_that_does_not_start():
    refused_once("inject_vidioc_streamon_error")


IN_THE_MIDDLE = """rm -rf /tmp/out; mkdir /tmp/out
    v4l2-ctl -d /dev/video0 -c percentage_of_dropped_buffers=100
    %s --source v4l2:/dev/video0,format=yuyv --out /tmp/out & pid=$!
    until ls -l /proc/$pid/fd | grep -q /dev/video0 && grep -q video0 /proc/$pid/maps; do kill -0 $pid || break; done
    %%s
    wait $pid""" % CAPTURE


def test_a_stream_that_breaks():
    stand()
    # No frame comes, so it waits in the middle of the stream. The feeder's stream breaks too; there is a picture then, but not of a page.
    machine.run(IN_THE_MIDDLE % "v4l2-ctl -d /dev/video0 -c inject_fatal_streaming_error=1; v4l2-ctl -d /dev/video0 -c percentage_of_dropped_buffers=0")
    with Image.open(io.BytesIO(machine.read(machine.run("ls -d /tmp/out/*").strip()))) as image:
        assert image.size == SIZES["1080p"][:2], image.size
    stand()
    expect_capture("yuyv", "receipt-2")


def test_no_frame_at_all():
    stand()
    control("percentage_of_dropped_buffers", 100)
    code, output, jpeg = capture("yuyv")
    assert code and not jpeg and "no frame" in output, output
    control("percentage_of_dropped_buffers", 0)
    expect_capture("yuyv", "receipt-2")


def test_a_camera_that_is_unplugged_in_the_middle():
    stand()
    code, output = machine.attempt(IN_THE_MIDDLE % "v4l2-ctl -d /dev/video0 -c disconnect=1")
    assert code and b"/dev/video0" in output and machine.run("ls /tmp/out") == "", output
    unplug()
    code, output, jpeg = capture("yuyv")
    assert code and not jpeg and "no-device" in output, (code, output)
    plug()
    stand()
    expect_capture("yuyv", "receipt-2")


# ---- the service --------------------------------------------------------------------------------------------------------

def scan():
    """(exit status, output, ids of the pages that are new)."""
    listed = "pageferryctl list | tail -n +2"
    before = {line.split()[0] for line in machine.run(listed).splitlines()}
    code, output = machine.attempt("pageferryctl scan --no-wait", 120)
    return code, output.decode(errors="replace"), [line.split()[0] for line in machine.run(listed).splitlines() if line.split()[0] not in before]


def serve(fmt):
    machine.run("""mkdir -p /etc/pageferry/pageferry.conf.d
        printf '[Capture]\\nSource=v4l2:/dev/video0,format=%s\\nSquare=no\\n' >/etc/pageferry/pageferry.conf.d/test.conf
        systemctl restart pageferry.service""" % fmt, 300)


def expect_scan(sample):
    code, output, pages = scan()
    assert code == 0 and len(pages) == 1, (code, output, pages)
    expect(machine.read("/var/lib/pageferry/pages/%s.jpg" % pages[0]), sample)
    return pages[0]


def test_a_scan_by_the_service_at_4k():
    serve("nv12")
    feed("4k", "nv12", "invoice-2")
    page = expect_scan("invoice-2")
    machine.wait("pageferryctl list --state done | grep -q %s" % page, 300)


def test_a_scan_by_the_service_at_1080p():
    serve("yuyv")
    feed("1080p", "yuyv", "invoice-1")
    expect_scan("invoice-1")


def test_the_service_says_that_the_camera_is_gone_and_finds_it_again():
    pid = machine.run("systemctl show -P MainPID pageferry.service")
    unplug()
    code, output, pages = scan()
    assert code and not pages and "/dev/video0" in output, (code, output)
    plug()
    stand()
    expect_scan("receipt-2")
    assert machine.run("systemctl show -P MainPID pageferry.service") == pid


if __name__ == "__main__":
    try:
        machine = Machine(frames())
    except suite.Skip as s:
        print("skip pages out of a virtual camera: %s" % s)
        sys.exit(0)
    with machine:
        suite.main()

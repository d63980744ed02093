"""What a store asks of its file system: a network's is refused, whatever the network; others are given a hint."""

import errno
import fcntl
import os
import sys

import pytest
from faulty_disk import frame

from featurestore import FeatureStoreConfig, InvalidConfig, SimpleFeatureStore
from featurestore.disk import Disk
from featurestore.mounts import file_system, is_remote


def store_at(base, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(base, **settings))


MOUNTS = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n",
    "40 22 0:45 / /mnt/share rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2\n",
    "41 22 0:46 / /mnt/with\\040space rw - fuse.sshfs me@host: rw\n",
    "42 40 0:47 / /mnt/share/local rw - tmpfs tmpfs rw\n",
    "garbage\n",
]


@pytest.mark.parametrize(
    ("path", "device", "kind"),
    [
        ("/mnt/share/store", 45, "nfs4"),
        ("/mnt/with space/x", 46, "fuse.sshfs"),
        ("/mnt/share/local/x", 47, "tmpfs"),
        ("/mnt/share/store", 99, "nfs4"),  # a device that no line has: by place
        ("/mnt/share2/store", 99, "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_found_among_the_mounts(path, device, kind):
    assert file_system(MOUNTS, path, device) == kind
    assert is_remote(kind) == (kind not in {"ext4", "tmpfs"})


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs"])
def test_a_network_file_system_is_refused_before_anything_is_made(tmp_path, monkeypatch, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 {device_of(tmp_path)} / / rw - {kind} server:/export rw\n")
    monkeypatch.setattr("featurestore.mounts._MOUNTS", str(mounts))
    with pytest.raises(InvalidConfig, match=r"network file system.*local disk"):
        store_at(tmp_path / "a" / "store")
    assert not (tmp_path / "a").exists()
    mounts.write_text(f"22 1 {device_of(tmp_path)} / / rw - ext4 /dev/sda1 rw\n")
    store_at(tmp_path / "a" / "store").close()
    mounts.write_text(f"22 1 {device_of(tmp_path)} / / rw - {kind} server:/export rw\n")
    with pytest.raises(InvalidConfig, match=kind.replace(".", r"\.")):
        store_at(tmp_path / "a" / "store", read_only=True)


def test_groups_and_names_are_to_lie_apart_where_the_file_system_listens(tmp_path):
    try:
        Disk().spread_folders(str(tmp_path))
    except OSError as error:
        pytest.skip(f"the file system of {tmp_path} takes no such hint: {error}")
    with store_at(tmp_path / "store") as store:
        store.save_features("group", {"name": frame(1)})
    for folder in ("store", "store/group/data"):
        assert is_top_of_hierarchies(tmp_path / folder), folder
    assert not is_top_of_hierarchies(tmp_path / "store/group")


def test_a_file_system_that_takes_no_hint_holds_a_store_all_the_same(tmp_path, monkeypatch):
    def refused(self, path):
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(Disk, "spread_folders", refused)
    with store_at(tmp_path / "store") as store:
        store.save_features("group", {"name": frame(1)})
        assert store.get_features(["name"], "group")["name"].equals(frame(1))


def is_top_of_hierarchies(folder):
    fd = os.open(folder, os.O_RDONLY)
    try:
        return bool(int.from_bytes(fcntl.ioctl(fd, 0x80086601, bytes(8))[:4], sys.byteorder) & 0x20000)
    finally:
        os.close(fd)


def device_of(path):
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"

"""A store on a network's file system is refused, whatever the network."""

import os

import pytest

from featurestore import FeatureStoreConfig, InvalidConfig, SimpleFeatureStore
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


def device_of(path):
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"

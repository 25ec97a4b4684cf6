"""A disk that is full whenever a test wants it to be."""
import os
import shutil
import subprocess
from pathlib import Path


def can_mount():
    return os.geteuid() == 0 and shutil.which("mount") is not None


class Unmounting:
    """Of a BrigadeTest: ends what it started, and what it mounted in its folder."""

    def clean_up(self):
        for running in self.started:
            if running.is_running():
                running.kill()
        for path in self.folder.iterdir():
            if os.path.ismount(path):
                subprocess.run(["umount", str(path)], check=True)
        super().clean_up()


class SmallDisk:
    """Puts a folder, with what is in it, on a disk of which so many bytes are left."""

    def __init__(self, folder, left, room=1 << 25):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = Path(f"{folder}.kept")
        self.folder.rename(kept)
        self.folder.mkdir()
        used = sum(path.stat().st_size for path in kept.iterdir())
        size = (used + left + room) // 4096 * 4096
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)],
                       check=True)
        self.move(kept, self.folder)
        kept.rmdir()
        self.stopper = self.folder / "stopper"
        space = os.statvfs(folder)
        self.stopper.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - left)))

    @staticmethod
    def move(source, target):
        for path in list(source.iterdir()):
            shutil.move(path, target / path.name)

    def make_room(self):
        self.stopper.unlink(missing_ok=True)

    def unmount(self):
        """The folder is an ordinary one again, with what is in it now."""
        self.make_room()
        saved = Path(f"{self.folder}.saved")
        saved.mkdir()
        self.move(self.folder, saved)
        subprocess.run(["umount", str(self.folder)], check=True)
        self.folder.rmdir()
        saved.rename(self.folder)

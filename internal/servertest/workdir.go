package servertest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// workdir is this process's folder for servers' data, made on first use together with the
// watchdog that removes it.
var workdir = sync.OnceValues(func() (string, error) {
	sweep()
	dir, err := os.MkdirTemp("", "go-platform-servers-")
	if err != nil {
		return "", err
	}
	// Servers that refuse to run as root must be able to reach their folder.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	// Nobody's sweep may find it before it is locked.
	lock := filepath.Join(dir, "lock")
	keep.lock, err = lockFile(lock + ".new")
	if err != nil {
		return "", err
	}
	if err := os.Rename(lock+".new", lock); err != nil {
		return "", err
	}
	keep.pipe, err = watchdog(dir, keep.lock)
	if err != nil {
		return "", err
	}
	return dir, nil
})

// keep holds open what ends with this process.
var keep struct {
	lock *os.File // says that the folder is in use
	pipe *os.File // its end of file wakes the watchdog
}

var serial atomic.Int64

// newDir makes a folder for one server: its place, or one that ends with this process.
func (p *place) newDir(name string) (string, error) {
	if p == nil {
		return newDir(name)
	}
	return p.dir, os.Mkdir(p.dir, 0o755)
}

// newDir makes a folder for one server.
func newDir(name string) (string, error) {
	base, err := workdir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, fmt.Sprintf("%s-%d", name, serial.Add(1)))
	return dir, os.Mkdir(dir, 0o755)
}

// sweep removes the folders of processes whose watchdog was killed too.
func sweep() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), "go-platform-servers-*", "lock"))
	for _, path := range locks {
		if lock, err := lockFile(path); err == nil {
			os.RemoveAll(filepath.Dir(path))
			lock.Close()
		}
	}
}

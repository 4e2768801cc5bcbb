//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package log

import (
	"errors"
	"os"
	"syscall"
)

// share takes the lock of those who append to a file. It returns false while
// somebody compresses or removes the file. A file system without locks counts
// as one where nobody does.
func share(f *os.File) bool { return flock(f, syscall.LOCK_SH) }

// exclude takes the lock of who compresses or removes a file. It returns false
// while a process, this one included, still has the file open to append.
func exclude(f *os.File) bool { return flock(f, syscall.LOCK_EX) }

func flock(f *os.File, how int) bool {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EWOULDBLOCK)
		}
	}
}

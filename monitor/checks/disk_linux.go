package checks

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// Disk fails if the file system of path has less than least bytes free for this
// user.
func Disk(path string, least uint64) Func {
	return func(context.Context) error {
		var s syscall.Statfs_t
		if err := syscall.Statfs(path, &s); err != nil {
			return &os.PathError{Op: "statfs", Path: path, Err: err}
		}
		if free := s.Bavail * uint64(s.Bsize); free < least {
			return fmt.Errorf("%s: %d bytes free, want %d at least", path, free, least)
		}
		return nil
	}
}

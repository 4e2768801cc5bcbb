//go:build !linux

package checks

import (
	"context"
	"errors"
)

// Disk fails if the file system of path has less than least bytes free for this
// user.
func Disk(path string, least uint64) Func {
	return func(context.Context) error { return errors.ErrUnsupported }
}

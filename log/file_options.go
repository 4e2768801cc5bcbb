package log

import (
	"io/fs"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// FileOption configures ToFile.
type FileOption func(*fileOptions) error

type fileOptions struct {
	enc      Encoding
	mode     fs.FileMode
	maxBytes int64
	every    time.Duration
	keep     int
	maxAge   time.Duration
	compress bool
}

// FileEncoding sets the encoding. The default is JSON.
func FileEncoding(e Encoding) FileOption {
	return func(o *fileOptions) error { o.enc = e; return fronts.Given(e, "FileEncoding") }
}

// FileMode sets the permissions of files that are created. The default is 0640.
func FileMode(m fs.FileMode) FileOption {
	return func(o *fileOptions) error { o.mode = m; return nil }
}

// RotateSize begins a new file before this one would exceed n bytes. A record
// is never split; one that is larger has a file of its own.
func RotateSize(n int64) FileOption {
	return func(o *fileOptions) error {
		if n < 1 {
			return fault.Markf(ErrInvalid, "RotateSize(%d)", n)
		}
		o.maxBytes = n
		return nil
	}
}

// RotateEvery begins a new file at every multiple of d since 1970 in UTC: 24
// hours means at midnight.
func RotateEvery(d time.Duration) FileOption {
	return func(o *fileOptions) error {
		if d < time.Second {
			return fault.Markf(ErrInvalid, "RotateEvery(%v), want at least a second", d)
		}
		o.every = d
		return nil
	}
}

// Keep removes rotated files so that at most n are left (0 means any number),
// none older than age (0 means any age).
func Keep(n int, age time.Duration) FileOption {
	return func(o *fileOptions) error {
		if n < 0 || age < 0 {
			return fault.Markf(ErrInvalid, "Keep(%d, %v)", n, age)
		}
		o.keep, o.maxAge = n, age
		return nil
	}
}

// Compress compresses rotated files by gzip. A file that another process still
// appends to is left as it is until that process has noticed the rotation.
func Compress() FileOption {
	return func(o *fileOptions) error { o.compress = true; return nil }
}

package log

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// ToFile appends lines to the file at path, which is created with its folder if
// need be. When somebody else renames or removes it, the next batch begins a new
// one, so that logrotate needs neither copytruncate nor a signal.
//
// A rotated file is named after the time of its end:
// app-20260102T030405.678.log, with .gz behind if it is compressed.
//
// Several processes may append to one path and rotate it, as an old and a new
// one do during a deploy. Where the system has advisory file locks (flock), each
// holds a shared one on the file it appends to, and none compresses or removes a
// file that another still holds.
func ToFile(path string, opts ...FileOption) Option {
	return withLocal("file", func(context.Context) (Driver, error) {
		o := fileOptions{enc: JSON(), mode: 0o640}
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		if path == "" {
			return nil, fault.Markf(ErrInvalid, "no path")
		}
		f := &file{fileOptions: o, path: path, open: openShared}
		if err := f.reopen(time.Now()); err != nil {
			return nil, fault.Mark(ErrUnavailable, err)
		}
		f.tidy()
		return f, nil
	})
}

// handle is what file needs of *os.File; tests have others.
type handle interface {
	Write(b []byte) (int, error)
	Stat() (fs.FileInfo, error)
	Close() error
}

// openShared opens the file at path to append, and holds the lock of those who
// do. Between the opening and the lock another process may have rotated and
// compressed the file; then the one that is at path now is opened.
func openShared(path string, mode fs.FileMode) (handle, error) {
	for tries := 0; ; tries++ {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, mode)
		if err != nil {
			return nil, err
		}
		// Somebody who locks the file for reasons unknown does not stop the log.
		if share(f) && isAt(f, path) || tries == 3 {
			return f, nil
		}
		_ = f.Close()
	}
}

func isAt(f *os.File, path string) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	at, err := os.Stat(path)
	return err == nil && os.SameFile(at, info)
}

// file is the driver of ToFile.
type file struct {
	fileOptions
	path    string
	open    func(path string, mode fs.FileMode) (handle, error)
	out     handle
	info    fs.FileInfo
	size    int64
	partial int       // bytes of the next record that are out, when a write ended within it
	unsure  bool      // its last line may not be whole: others wrote before, or a write failed
	ends    time.Time // when RotateEvery wants the next file
	swept   time.Time // when tidy was last called
	tidying sweeper
}

func (f *file) Encoding() Encoding         { return f.enc }
func (f *file) Ping(context.Context) error { return nil }

// reopen opens the file at path.
func (f *file) reopen(now time.Time) error {
	if f.out != nil {
		_ = f.out.Close()
		f.out = nil
	}
	out, err := f.open(f.path, f.mode)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(filepath.Dir(f.path), 0o750)
		if err == nil {
			out, err = f.open(f.path, f.mode)
		}
	}
	if err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		_ = out.Close()
		return err
	}
	f.out, f.info, f.size = out, info, info.Size()
	f.partial, f.unsure = 0, f.size > 0
	if f.every > 0 {
		from := now
		if f.size > 0 && info.ModTime().Before(now) {
			from = info.ModTime() // a file of yesterday ends with the first record of today
		}
		f.ends = from.Truncate(f.every).Add(f.every)
	}
	return nil
}

// follow looks whether the file is still the one at path, and as long as this
// process left it.
func (f *file) follow(now time.Time) error {
	if f.out != nil {
		at, err := os.Stat(f.path)
		if err == nil && os.SameFile(at, f.info) {
			if at.Size() != f.size && at.Mode().IsRegular() {
				f.partial = 0 // another process appended behind it, or the file was truncated in place
			}
			f.size = at.Size()
			return nil
		}
	}
	return f.reopen(now)
}

// beginLine ends the line of somebody whose write stopped within it, on a disk
// that was full.
func (f *file) beginLine() error {
	if f.torn() {
		n, err := f.out.Write([]byte{'\n'})
		f.size += int64(n)
		if err != nil {
			return err
		}
	}
	f.unsure = false
	return nil
}

// torn reports whether the file ends within a line. A line that another process
// is writing looks the same, but not for long.
func (f *file) torn() bool {
	if f.size == 0 { // as that of a device or a pipe always is
		return false
	}
	for range 10 {
		if lastByte(f.path, f.size) == '\n' {
			return false
		}
		time.Sleep(10 * time.Millisecond)
		at, err := os.Stat(f.path)
		if err != nil || at.Size() != f.size {
			return false
		}
	}
	return true
}

// lastByte returns the last byte of a file, or '\n' if it can't be read.
func lastByte(path string, size int64) byte {
	last := [1]byte{'\n'}
	in, err := os.Open(path)
	if err != nil {
		return last[0]
	}
	defer in.Close()
	_, _ = in.ReadAt(last[:], size-1)
	return last[0]
}

func (f *file) Close() error {
	f.tidying.wait()
	if f.out == nil {
		return nil
	}
	err := f.out.Close()
	f.out = nil
	return err
}

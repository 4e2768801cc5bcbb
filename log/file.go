package log

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform/internal/fault"
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
	return func(o *fileOptions) error {
		if e == nil {
			return fault.Markf(fault.Invalid, "nil encoding")
		}
		o.enc = e
		return nil
	}
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
			return fault.Markf(fault.Invalid, "RotateSize(%d)", n)
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
			return fault.Markf(fault.Invalid, "RotateEvery(%v), want at least a second", d)
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
			return fault.Markf(fault.Invalid, "Keep(%d, %v)", n, age)
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
		for _, opt := range opts {
			if opt == nil {
				return nil, fault.Markf(fault.Invalid, "nil option")
			}
			if err := opt(&o); err != nil {
				return nil, err
			}
		}
		if path == "" {
			return nil, fault.Markf(fault.Invalid, "no path")
		}
		f := &file{fileOptions: o, path: path, open: openShared}
		if err := f.reopen(time.Now()); err != nil {
			return nil, fault.Mark(fault.Unavailable, err)
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
		if err = os.MkdirAll(filepath.Dir(f.path), 0o750); err == nil {
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
	if f.size == 0 || !f.info.Mode().IsRegular() {
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

func (f *file) Write(ctx context.Context, b Batch) (int, error) {
	now := time.Now()
	if err := f.follow(now); err != nil {
		return 0, err
	}
	if f.tidying.left.Load() && now.Sub(f.swept) >= time.Second {
		f.tidy()
	}
	if f.partial > b.Ends[0] {
		f.partial = 0
	}
	done := 0
	for done < b.Len() {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if f.partial == 0 && f.size > 0 && (f.every > 0 && !now.Before(f.ends) || f.tooLarge(int64(len(b.Record(done))))) {
			if err := f.rotate(now); err != nil {
				return done, err
			}
		}
		if f.unsure && f.partial == 0 && b.Data[b.Ends[done]-1] == '\n' {
			if err := f.beginLine(); err != nil {
				return done, err
			}
		}
		n, err := f.append(b, done)
		if done += n; err != nil {
			f.unsure = true
			return done, err
		}
	}
	return done, nil
}

func (f *file) tooLarge(more int64) bool { return f.maxBytes > 0 && f.size+more > f.maxBytes }

// append writes as many records from the given one on as the file has room for,
// at least one.
func (f *file) append(b Batch, from int) (int, error) {
	start := 0
	if from > 0 {
		start = b.Ends[from-1]
	}
	to := from + 1
	for to < b.Len() && !f.tooLarge(int64(b.Ends[to]-start)) {
		to++
	}
	n, err := f.out.Write(b.Data[start+f.partial : b.Ends[to-1]])
	f.size += int64(n)
	upTo := start + f.partial + n
	f.partial = 0
	done := from
	for done < to && b.Ends[done] <= upTo {
		done++
	}
	if done < to {
		last := start
		if done > 0 {
			last = max(start, b.Ends[done-1])
		}
		f.partial = upTo - last
		if err == nil {
			err = errors.New("short write")
		}
	}
	return done - from, err
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

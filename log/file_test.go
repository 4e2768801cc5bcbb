package log

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func openLog(t *testing.T, opts ...Option) Log {
	t.Helper()
	l, err := New(append(opts, WithErrors(func(string, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

// linesOf returns all lines of a log's files, oldest file first.
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	names, _ := rotated(path)
	var all []string
	for _, name := range append(names, path) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(name, err)
			}
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(name, err)
		}
		f.Close()
		if len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s ends within a line", name)
		}
		all = append(all, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return all
}

func inOrder(t *testing.T, lines []string, n int) {
	t.Helper()
	if len(lines) != n {
		t.Fatalf("%d lines, want %d", len(lines), n)
	}
	for i, line := range lines {
		if !strings.Contains(line, fmt.Sprintf(`"n":%d}`, i)) {
			t.Fatalf("line %d is %s", i, line)
		}
	}
}

func TestRotationBySizeLosesNoLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "app.log")
	l := openLog(t, WithOutput(ToFile(path, RotateSize(5000), Compress()), BatchOf(3000, 0)))
	lg := l.Logger("")
	for i := range 2000 {
		lg.Info("x", "n", i)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, _ := rotated(path)
	if len(names) < 20 {
		t.Errorf("%d rotated files", len(names))
	}
	for _, n := range names {
		if !strings.HasSuffix(n, ".gz") {
			t.Errorf("%s is not compressed", n)
		}
	}
	info, _ := os.Stat(path)
	if info.Size() > 5000 || info.Mode().Perm() != 0o640 {
		t.Errorf("%d bytes, %v", info.Size(), info.Mode())
	}
	inOrder(t, linesOf(t, path), 2000)
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*.part"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestARecordLargerThanTheLimitHasItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	l := openLog(t, ToFile(path, RotateSize(200)))
	for i, size := range []int{1, 1000, 1} {
		l.Logger("").Info(strings.Repeat("x", size), "n", i)
	}
	l.Close(t.Context())
	names, _ := rotated(path)
	if len(names) != 2 {
		t.Errorf("%v", names)
	}
	inOrder(t, linesOf(t, path), 3)
}

func TestRotationByTimeAndRetention(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "app.log")
		other := filepath.Join(dir, "app-notes.log")
		os.WriteFile(other, nil, 0o600)
		l := openLog(t, ToFile(path, RotateEvery(24*time.Hour), Keep(3, 0)))
		time.Sleep(12 * time.Hour)
		for i := range 10 {
			l.Logger("").Info("x", "n", i)
			l.Flush(t.Context())
			time.Sleep(12 * time.Hour)
		}
		l.Close(t.Context())
		names, ends := rotated(path)
		if len(names) != 3 {
			t.Fatalf("%v are kept, want 3", names)
		}
		// Midnight to midnight, two records a day: the first one came at noon.
		if end := ends[2]; end.Hour() > 12 {
			t.Errorf("rotated at %v", end)
		}
		lines := linesOf(t, path)
		if len(lines) < 6 || !strings.Contains(lines[len(lines)-1], `"n":9`) {
			t.Errorf("%q", lines)
		}
		if !exists(other) {
			t.Error("somebody else's file is gone")
		}
	})
}

func TestRetentionByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	old := strings.TrimSuffix(path, ".log") + "-" + time.Now().Add(-48*time.Hour).UTC().Format(stamp) + ".log.gz"
	young := strings.TrimSuffix(path, ".log") + "-" + time.Now().Add(-time.Hour).UTC().Format(stamp) + ".log"
	for _, n := range []string{old, young} {
		if err := os.WriteFile(n, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, ToFile(path, Keep(0, 24*time.Hour), Compress()))
	l.Close(t.Context())
	if exists(old) || exists(young) || !exists(young+".gz") {
		t.Errorf("old %v, young %v, compressed %v", exists(old), exists(young), exists(young+".gz"))
	}
}

func TestFollowsAnExternalRename(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "app.log")
		l := openLog(t, ToFile(path))
		write := func(i int) {
			l.Logger("").Info("x", "n", i)
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		write(0)
		os.Rename(path, path+".1")
		time.Sleep(1100 * time.Millisecond)
		write(1)
		os.Remove(path)
		time.Sleep(1100 * time.Millisecond)
		write(2)
		for name, want := range map[string]string{path + ".1": `"n":0`, path: `"n":2`} {
			if b, err := os.ReadFile(name); err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), want) {
				t.Errorf("%s has %q, %v", name, b, err)
			}
		}
		l.Close(t.Context())
	})
}

func TestAppendsToWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	for i := range 3 {
		l := openLog(t, ToFile(path))
		l.Logger("").Info("x", "n", i)
		l.Close(t.Context())
	}
	inOrder(t, linesOf(t, path), 3)
}

// full is a file on a disk that has room for a number of bytes.
type full struct {
	handle
	room *atomic.Int64
}

func (f full) Write(b []byte) (int, error) {
	n := min(len(b), int(f.room.Load()))
	f.room.Add(-int64(n))
	if n > 0 {
		if _, err := f.handle.Write(b[:n]); err != nil {
			return 0, err
		}
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A disk that fills up within a record: what is out is not written again, and
// when there is room the file goes on where it stopped.
func TestDiskFullAndFreeAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "app.log")
		var room atomic.Int64
		room.Store(1000)
		open := func(p string, m fs.FileMode) (handle, error) {
			h, err := openShared(p, m)
			return full{h, &room}, err
		}
		l := openLog(t, withLocal("file", func(context.Context) (Driver, error) {
			f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600}, path: path, open: open}
			return f, f.reopen(time.Now())
		}))
		lg := l.Logger("")
		for i := range 100 {
			lg.Info("x", "n", i)
		}
		time.Sleep(time.Minute)
		s := l.Stats()[0]
		if s.Written == 0 || s.Written > 20 || s.Errors == 0 || !strings.Contains(s.LastError, "no space") {
			t.Errorf("while it is full: %+v", s)
		}
		room.Store(1 << 20)
		time.Sleep(1500 * time.Millisecond)
		if s := l.Stats()[0]; s.Written != 100 {
			t.Errorf("soon after there is room: %+v", s)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		inOrder(t, linesOf(t, path), 100)
	})
}

// blind is a file whose state can't be read.
type blind struct{ handle }

func (blind) Stat() (fs.FileInfo, error) { return nil, syscall.EIO }

// A next file that can't be opened, or looked at, holds up the log and loses nothing.
func TestANextFileThatFailsIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	for what, fails := range map[string]func(h handle) (handle, error){
		"open": func(h handle) (handle, error) { h.Close(); return nil, syscall.EMFILE },
		"look": func(h handle) (handle, error) { return blind{h}, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(dir, what+".log")
			var broken atomic.Bool
			open := func(p string, m fs.FileMode) (handle, error) {
				h, err := openShared(p, m)
				if err == nil && broken.Load() {
					return fails(h)
				}
				return h, err
			}
			l := openLog(t, withLocal("file", func(context.Context) (Driver, error) {
				f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600, maxBytes: 500}, path: path, open: open}
				return f, f.reopen(time.Now())
			}))
			broken.Store(true)
			for i := range 100 {
				l.Logger("").Info("x", "n", i)
			}
			time.Sleep(time.Minute)
			says := map[string]error{"open": syscall.EMFILE, "look": syscall.EIO}[what].Error()
			if s := l.Stats()[0]; s.Written == 0 || s.Written > 20 || s.Retries < 3 || s.Dropped != 0 || s.LastError != says {
				t.Errorf("%s fails: %+v, want %q", what, s, says)
			}
			broken.Store(false)
			time.Sleep(10 * time.Second)
			if s := l.Stats()[0]; s.Written != 100 {
				t.Errorf("%s works again: %+v", what, s)
			}
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			inOrder(t, linesOf(t, path), 100)
		})
	}
}

// A name that has no room for the time of its end can't be rotated, which is said; the
// file stays as it is.
func TestANameThatIsTooLongToRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 240)+".log")
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, ToFile(path, RotateSize(150)))
		for i := range 3 {
			l.Logger("").Info("x", "n", i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, ErrDropped) || !strings.Contains(err.Error(), "too long") {
			t.Errorf("Close: %v", err)
		}
	})
	if lines := linesOf(t, path); len(lines) == 0 || len(lines) > 2 || !strings.Contains(lines[0], `"n":0`) {
		t.Errorf("it has %q", lines)
	}
}

// A rotated file that can't be compressed stays as it is, and nothing else is left.
func TestAFileThatCannotBeCompressedStays(t *testing.T) {
	for _, way := range []string{"a.log.part", "a.log.gz"} {
		dir := t.TempDir()
		name := filepath.Join(dir, "a.log")
		err := errors.Join(os.WriteFile(name, []byte("line\n"), 0o600), os.Mkdir(filepath.Join(dir, way), 0o700))
		if err != nil {
			t.Fatal(err)
		}
		pack := func(in *os.File) error { return compress(in, name, 0o600) }
		if err := whenFree(name, pack); err == nil {
			t.Errorf("%s is in the way: no error", way)
		}
		if b, err := os.ReadFile(name); string(b) != "line\n" {
			t.Errorf("%s is in the way: %q, %v are left of it", way, b, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 {
			t.Errorf("%s is in the way: %v are there, want the file and what is in the way", way, left)
		}
		os.Remove(filepath.Join(dir, way))
		if err := whenFree(name, pack); err != nil || exists(name) || exists(name+".part") || !exists(name+".gz") {
			t.Errorf("%s is gone: %v, or it was not compressed", way, err)
		}
	}
}

// A batch whose time is over is not begun.
func TestABatchThatIsTooLateIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600}, path: path, open: openShared}
	var out strings.Builder
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b := Batch{Data: []byte("line\n"), Ends: []int{5}}
	for what, d := range map[string]Driver{"file": f, "writer": &lines{w: &out, enc: JSON()}} {
		if n, err := d.Write(ended, b); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
		if n, err := d.Write(t.Context(), b); n != 1 || err != nil {
			t.Errorf("%s in time: %d, %v", what, n, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "line\n" || out.String() != "line\n" {
		t.Errorf("the file has %q and the writer %q", got, out.String())
	}
}

func TestDevFull(t *testing.T) {
	if !exists("/dev/full") {
		t.Skip("no /dev/full here")
	}
	synctest.Test(t, func(t *testing.T) {
		var complaints int
		l, err := New(ToFile("/dev/full"), WithErrors(func(string, error) { complaints++ }))
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("").Error("x")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err = l.Close(ctx)
		if !errors.Is(err, ErrDropped) || !strings.Contains(err.Error(), "no space") || complaints != 1 {
			t.Errorf("Close: %v; %d complaints", err, complaints)
		}
	})
}

func TestToFileRefusesWhatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for name, opt := range map[string]Option{
		"no path": ToFile(""), "size": ToFile("x", RotateSize(0)), "every": ToFile("x", RotateEvery(time.Second-1)), "keep": ToFile("x", Keep(-1, 0)), "age": ToFile("x", Keep(0, -1)),
		"encoding": ToFile("x", FileEncoding(nil)), "nil option": ToFile("x", nil),
	} {
		if _, err := New(opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, err := New(ToFile(filepath.Join(dir, "least.log"), RotateSize(1), RotateEvery(time.Second), Keep(0, 0)))
	if err != nil {
		t.Fatalf("the least of each: %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := New(ToFile(dir)); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder as the file: %v", err)
	}
}

// A rotated file never takes the name of one that is there, compressed or not.
func TestRotationSparesFilesOfTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		began := time.Now().UTC()
		taken := map[string]bool{}
		for i := range 100 {
			name := filepath.Join(dir, "a-"+began.Add(time.Duration(i)*time.Millisecond).Format("20060102T150405.000")+".log"+[]string{"", ".gz"}[i%2])
			if err := os.WriteFile(name, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
			taken[name] = true
		}
		l, err := New(ToFile(filepath.Join(dir, "a.log"), RotateSize(100)))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.Logger("").Info("x")
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "a*"))
		lines := 0
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil || taken[name] != (string(b) == "theirs") || taken[name+".gz"] {
				t.Errorf("%s holds %q: %v", name, b, err)
			}
			lines += strings.Count(string(b), "\n")
		}
		if s := l.Stats()[0]; lines != 3 || len(files) < 102 || s.Errors > 0 {
			t.Errorf("%d lines in %d files: %+v", lines, len(files), s)
		}
	})
}

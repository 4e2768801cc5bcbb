package log

import (
	"context"
	"errors"
	"fmt"
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

// logged writes records to the log at path, one batch each, and closes it.
func logged(t *testing.T, path string, n int, opts ...FileOption) {
	t.Helper()
	l := openLog(t, ToFile(path, opts...))
	for i := range n {
		l.Logger("").Info("x", "n", i)
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// content maps the names in a folder to how many lines each file has.
func content(t *testing.T, dir string) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		lines[e.Name()] = strings.Count(string(b), "\n")
	}
	return lines
}

// A file of yesterday ends with the first record of today; one that is empty, or
// of today, goes on.
func TestAFileOfYesterdayIsGoneOnWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Hour) // it is six in the morning
		for _, c := range []struct {
			name    string
			text    string
			age     time.Duration
			rotated int
		}{
			{"of yesterday", "old\n", 6*time.Hour + 1, 1},
			{"of this midnight", "old\n", 6 * time.Hour, 0},
			{"of now", "old\n", 0, 0},
			{"of the future", "old\n", -24 * time.Hour, 0},
			{"empty, of yesterday", "", 12 * time.Hour, 0},
			{"new", "", -1, 0},
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, "app.log")
			if c.name != "new" {
				at := time.Now().Add(-c.age)
				if err := errors.Join(os.WriteFile(path, []byte(c.text), 0o600), os.Chtimes(path, at, at)); err != nil {
					t.Fatal(err)
				}
			}
			logged(t, path, 2, RotateEvery(24*time.Hour))
			names, _ := rotated(path)
			if len(names) != c.rotated {
				t.Errorf("%s: %v", c.name, content(t, dir))
			}
			if want := strings.Count(c.text, "\n")*(1-c.rotated) + 2; content(t, dir)["app.log"] != want {
				t.Errorf("%s: %v, want %d lines in app.log", c.name, content(t, dir), want)
			}
		}
	})
}

// A day ends at midnight: the last record before it is in the day's file, and one
// at midnight begins the next.
func TestTheMomentOfRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "app.log")
		l := openLog(t, WithOutput(ToFile(path, RotateEvery(time.Hour)), BatchOf(1, 0)))
		for i, c := range []struct {
			after time.Duration
			files int
		}{{0, 1}, {time.Hour - 1, 1}, {1, 2}, {time.Hour - 1, 2}, {1, 3}, {90 * time.Minute, 4}, {30*time.Minute - 1, 4}, {1, 5}} {
			time.Sleep(c.after)
			l.Logger("").Info("x", "n", i)
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := content(t, dir); len(got) != c.files {
				t.Errorf("record %d: %v, want %d files", i, got, c.files)
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		inOrder(t, linesOf(t, path), 8)
	})
}

// A file has at most the bytes of RotateSize, to the last of them, whether the
// records come one by one or in a batch.
func TestTheSizeOfRotation(t *testing.T) {
	enc := JSONKeys("test", Keys{Time: "t", Level: "l", Logger: "n", Message: "m", Source: "s"}, 3, "")
	size := int64(len(enc.Append(nil, &Record{Time: time.Now(), Message: "x"})))
	for name, batch := range map[string]int{"one by one": 1, "a batch": 1 << 16} {
		for _, c := range []struct {
			most  int64
			files int // of six records
		}{{size - 1, 6}, {size, 6}, {2*size - 1, 6}, {2 * size, 3}, {3*size - 1, 3}, {3 * size, 2}, {6*size - 1, 2}, {6 * size, 1}} {
			dir := t.TempDir()
			path := filepath.Join(dir, "app.log")
			l := openLog(t, WithOutput(ToFile(path, FileEncoding(enc), RotateSize(c.most)), BatchOf(batch, 0)))
			for range 6 {
				l.Logger("").Info("x")
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			total := 0
			for _, n := range content(t, dir) {
				total += n
			}
			if got := content(t, dir); len(got) != c.files || total != 6 {
				t.Errorf("%s, %d bytes of %d a record: %v, want %d files", name, c.most, size, got, c.files)
			}
		}
	}
}

// A record that the full disk cut is ended in its own file, though meanwhile that
// one is to be rotated, for its age or its size. No file ends within a line.
func TestACutRecordIsEndedBeforeTheRotation(t *testing.T) {
	for name, change := range map[string]func(f *file){
		"age":  func(f *file) { f.every = time.Hour },
		"size": func(f *file) { f.maxBytes = 1000 },
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.log")
			var room atomic.Int64
			room.Store(950)
			l := openLog(t, withLocal("file", func(context.Context) (Driver, error) {
				f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600}, path: path, open: func(p string, m fs.FileMode) (handle, error) {
					h, err := openShared(p, m)
					return full{h, &room}, err
				}}
				change(f)
				return f, f.reopen(time.Now())
			}))
			for i := range 30 {
				l.Logger("").Info("x", "n", i)
			}
			time.Sleep(2 * time.Hour)
			if s := l.Stats()[0]; s.Written == 0 || s.Written > 15 {
				t.Errorf("%s: while it is full: %+v", name, s)
			}
			room.Store(1 << 20)
			time.Sleep(2 * time.Second)
			l.Logger("").Info("x", "n", 30)
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			inOrder(t, linesOf(t, path), 31)
			if names, _ := rotated(path); len(names) == 0 {
				t.Errorf("%s: nothing was rotated", name)
			}
		})
	}
}

// What stands beside the file and has another name, or is no file of ours, is
// neither counted nor compressed nor removed.
func TestOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	const at = "20200102T030405.678"
	ours := []string{"app-" + at + ".log", "app-20200102T030405.679.log.gz"}
	others := []string{
		at + ".log", "app-" + at, "app-" + at + ".txt", "app-" + at + "Z.log", "app-" + at + ".log.gz.part", "xapp-" + at + ".log", "app2-" + at + ".log", "app-2020.log", "app-.log", "app.log.1",
		"app-" + at + ".log.old",
	}
	for _, name := range append(ours, others...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	claimed, folder, link := "app-20200102T030405.680.log", "app-20200102T030405.681.log", "app-20200102T030405.682.log"
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, claimed), nil, 0o600), os.Mkdir(filepath.Join(dir, folder), 0o700), os.Symlink(filepath.Join(dir, others[0]), filepath.Join(dir, link)))
	if err != nil {
		t.Fatal(err)
	}
	logged(t, path, 1, Keep(1, time.Hour), Compress())
	got := content(t, dir)
	for _, name := range append(others, claimed, folder, link, "app.log") {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range ours {
		if _, ok := got[name]; ok {
			t.Errorf("%s is there", name)
		}
	}
	if want := len(others) + 4; len(got) != want {
		t.Errorf("%d files, want %d: %v", len(got), want, got)
	}
}

// Files are kept as long as neither their number nor their age is over the limit.
func TestTheLimitsOfKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1000 * time.Hour)
		const ms = time.Millisecond
		for _, c := range []struct {
			n    int
			age  time.Duration
			ages []time.Duration // oldest first
			left int             // the newest of them
		}{
			{0, 0, []time.Duration{900 * time.Hour, time.Hour}, 2},
			{2, 0, []time.Duration{900 * time.Hour, time.Hour}, 2},
			{2, 0, []time.Duration{900 * time.Hour, 2 * time.Hour, time.Hour}, 2},
			{1, 0, []time.Duration{3 * time.Hour, 2 * time.Hour, time.Hour}, 1},
			{0, time.Hour, []time.Duration{time.Hour + ms, time.Hour, time.Hour - ms}, 2},
			{2, time.Hour, []time.Duration{time.Hour, 3 * ms, 2 * ms}, 2},
			{2, time.Hour, []time.Duration{2 * time.Hour, 2 * time.Hour}, 0},
		} {
			for _, gz := range []string{"", ".gz"} {
				dir := t.TempDir()
				path := filepath.Join(dir, "app.log")
				for i, age := range c.ages {
					name := fmt.Sprintf("%s/app-%s.log%s", dir, time.Now().Add(-age).UTC().Format(stamp), gz)
					if exists(name) {
						name = fmt.Sprintf("%s/app-%s.log%s", dir, time.Now().Add(-age+time.Duration(i)*ms).UTC().Format(stamp), gz)
					}
					if err := os.WriteFile(name, []byte("x\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				all, _ := rotated(path)
				logged(t, path, 0, Keep(c.n, c.age))
				left, _ := rotated(path)
				if want := all[len(all)-c.left:]; fmt.Sprint(left) != fmt.Sprint(want) {
					t.Errorf("Keep(%d, %v) of %v%s: left are %v", c.n, c.age, c.ages, gz, left)
				}
			}
		}
	})
}

// A rotated file that somebody still appends to is looked at again a second later,
// not before; and when nothing is left, only after a rotation.
func TestWhenAFileIsSweptAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "app.log")
		old := func(hour int) string {
			name := filepath.Join(dir, fmt.Sprintf("app-19990102T%02d0405.678.log", hour))
			if err := os.WriteFile(name, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		held := old(1)
		holder, err := openShared(held, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		l := openLog(t, ToFile(path, Compress()))
		write := func(after time.Duration) {
			time.Sleep(after)
			l.Logger("").Info("x")
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		write(time.Second)
		if !exists(held) {
			t.Fatal("a file is compressed though somebody appends to it")
		}
		holder.Close()
		write(time.Second - 1)
		if !exists(held) {
			t.Error("it is looked at within a second")
		}
		write(1)
		if exists(held) || !exists(held+".gz") {
			t.Error("it is not compressed though nobody appends to it any more")
		}
		next := old(2)
		write(time.Minute)
		if !exists(next) {
			t.Error("files are looked at though nothing was rotated and nothing left")
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// whenFree says why it does not call: the file is gone, or somebody appends to it.
func TestWhenAFileIsFree(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	called := 0
	do := func(*os.File) error { called++; return nil }
	if err := whenFree(path, do); !errors.Is(err, fs.ErrNotExist) || called != 0 {
		t.Errorf("it is not there: %v, called %d times", err, called)
	}
	h, err := openShared(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := whenFree(path, do); !errors.Is(err, errHeld) || called != 0 {
		t.Errorf("somebody appends to it: %v, called %d times", err, called)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := whenFree(path, do); err != nil || called != 1 {
		t.Errorf("nobody appends to it: %v, called %d times", err, called)
	}
}

// isAt tells whether an open file is the one at a path.
func TestIsAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, want bool) {
		t.Helper()
		if isAt(f, path) != want {
			t.Errorf("%s: %v, want %v", when, !want, want)
		}
	}
	check("as it was created", true)
	os.Rename(path, path+".1")
	check("renamed", false)
	os.WriteFile(path, nil, 0o600)
	check("another is there", false)
	os.Rename(path+".1", path)
	check("renamed back", true)
	f.Close()
	check("closed", false)
}

// The names of rotated files are told apart by milliseconds, and one that can't be
// claimed is an error.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 1, 2, 3, 4, 5, 999e6, time.FixedZone("", 3600))
	for i, c := range []struct{ path, want string }{
		{"app.log", "app-20260102T020405.999.log"}, {"app.log", "app-20260102T020406.000.log"}, {"app", "app-20260102T020405.999"}, {"a.b.c", "a.b-20260102T020405.999.c"},
	} {
		got, err := claim(filepath.Join(dir, c.path), at)
		if err != nil || filepath.Base(got) != c.want {
			t.Errorf("%d: %s, %v, want %s", i, got, err, c.want)
		}
		if info, err := os.Stat(got); err != nil || info.Size() != 0 {
			t.Errorf("%d: %v, %v", i, info, err)
		}
	}
	if _, err := claim(filepath.Join(dir, "none", "app.log"), at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// stumbling is a file of which one write fails.
type stumbling struct {
	handle
	writes, fails int
}

func (s *stumbling) Write(b []byte) (int, error) {
	s.writes++
	if s.writes == s.fails {
		return 0, syscall.EIO
	}
	return s.handle.Write(b)
}

// The line that somebody left torn is ended before the first record, also when
// the first attempt to end it fails.
func TestATornLineIsEndedBeforeTheFirstRecord(t *testing.T) {
	for _, fails := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.log")
			if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLog(t, withLocal("file", func(context.Context) (Driver, error) {
				f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600}, path: path, open: func(p string, m fs.FileMode) (handle, error) {
					h, err := openShared(p, m)
					return &stumbling{handle: h, fails: fails}, err
				}}
				return f, f.reopen(time.Now())
			}))
			l.Logger("").Info("x", "n", 0)
			time.Sleep(time.Minute)
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if s := l.Stats()[0]; int(s.Errors) != min(fails, 1) || s.Written != 1 || fails > 0 && s.LastError != "input/output error" {
				t.Errorf("write %d fails: %+v", fails, s)
			}
			lines := linesOf(t, path)
			if len(lines) != 2 || lines[0] != "torn" || !strings.Contains(lines[1], `"n":0`) {
				t.Errorf("write %d fails: %q", fails, lines)
			}
		})
	}
}

// A line that another process is writing is not torn: it has a tenth of a second
// to go on, and to be ended.
func TestALineThatAnotherProcessIsWriting(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		more  string
		lines []string
	}{
		{85 * time.Millisecond, "and the rest\n", []string{"a part and the rest", "ours"}},
		{115 * time.Millisecond, "late\n", []string{"a part ", "ours", "late"}},
		{time.Hour, "", []string{"a part ", "ours"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.log")
			theirs, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			theirs.WriteString("a part ")
			l := openLog(t, WithOutput(ToFile(path, FileEncoding(bare{})), BatchOf(1, 0)))
			l.Logger("").Info("ours")
			time.Sleep(c.after)
			theirs.WriteString(c.more)
			time.Sleep(time.Second)
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := linesOf(t, path); strings.Join(got, "|") != strings.Join(c.lines, "|") {
				t.Errorf("after %v: %q, want %q", c.after, got, c.lines)
			}
		})
	}
}

// bare is an encoding of messages alone.
type bare struct{}

func (bare) Name() string                        { return "bare" }
func (bare) Append(dst []byte, r *Record) []byte { return append(append(dst, r.Message...), '\n') }

// Another process rotates the file while this one writes a batch that needs
// several: what is at the path then is the other's, and is gone on with.
func TestAnotherProcessRotatesFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	opened := 0
	f := &file{fileOptions: fileOptions{enc: bare{}, mode: 0o600, maxBytes: 8}, path: path}
	f.open = func(p string, m fs.FileMode) (handle, error) {
		h, err := openShared(p, m)
		if opened++; opened == 2 {
			os.Rename(p, filepath.Join(dir, "theirs.1"))
			os.WriteFile(p, []byte("new\n"), 0o600)
		}
		return h, err
	}
	if err := f.reopen(time.Now()); err != nil {
		t.Fatal(err)
	}
	b := Batch{}
	for _, line := range []string{"1111111\n", "2222222\n", "333\n", "444\n"} {
		b.Data = append(b.Data, line...)
		b.Ends = append(b.Ends, len(b.Data))
	}
	if n, err := f.Write(t.Context(), b); n != 4 || err != nil {
		t.Fatalf("%d records written: %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if first, theirs := read(filepath.Join(dir, "theirs.1")), read(path); first != "2222222\n" || theirs != "new\n333\n" && theirs != "444\n" {
		t.Errorf("the file that was rotated has %q, the one at the path %q", first, theirs)
	}
	names, _ := rotated(path)
	text := ""
	for _, name := range names {
		text += read(name)
	}
	if text += read(path); text != "1111111\nnew\n333\n444\n" {
		t.Errorf("files %v, together %q", names, text)
	}
}

// stuck is a file that can't be closed.
type stuck struct{ handle }

func (s stuck) Close() error { s.handle.Close(); return syscall.EDQUOT }

// What the system says when the file is closed, that its quota is used up for
// instance, is the error of Close.
func TestAFileThatCannotBeClosed(t *testing.T) {
	l, err := New(withLocal("file", func(context.Context) (Driver, error) {
		f := &file{fileOptions: fileOptions{enc: JSON(), mode: 0o600}, path: filepath.Join(t.TempDir(), "app.log"), open: func(p string, m fs.FileMode) (handle, error) {
			h, err := openShared(p, m)
			return stuck{h}, err
		}}
		return f, f.reopen(time.Now())
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("Close: %v", err)
	}
}

// One sweep runs at a time; of those that are asked for meanwhile the last one
// follows.
func TestSweepsRunOneByOne(t *testing.T) {
	var s sweeper
	var running, most atomic.Int32
	began, goOn := make(chan string, 10), make(chan struct{})
	sweep := func(name string) func() {
		return func() {
			most.Store(max(most.Load(), running.Add(1)))
			began <- name
			<-goOn
			running.Add(-1)
		}
	}
	s.run(sweep("first"))
	if got := <-began; got != "first" {
		t.Errorf("%s began", got)
	}
	s.run(sweep("second"))
	s.run(sweep("third"))
	goOn <- struct{}{}
	if got := <-began; got != "third" {
		t.Errorf("then %s began", got)
	}
	close(goOn)
	s.wait()
	if len(began) != 0 || most.Load() != 1 {
		t.Errorf("%d more began, %d at a time", len(began), most.Load())
	}
	s.run(sweep("fourth"))
	if got := <-began; got != "fourth" {
		t.Errorf("at last %s began", got)
	}
	s.wait()
}

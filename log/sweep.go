package log

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tidy compresses and removes rotated files, beside the writing.
func (f *file) tidy() {
	f.swept = time.Now()
	if f.compress || f.keep > 0 || f.maxAge > 0 {
		o, path := f.fileOptions, f.path
		f.tidying.run(func() { f.tidying.left.Store(sweep(path, o, time.Now())) })
	}
}

// sweeper runs one sweep at a time, and one more if it was asked for meanwhile.
type sweeper struct {
	left    atomic.Bool // the last one had to leave a file to another process
	mu      sync.Mutex
	running bool
	again   func()
	wg      sync.WaitGroup
}

func (s *sweeper) run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.again = f
		return
	}
	s.running = true
	s.wg.Go(func() {
		for f != nil {
			f()
			s.mu.Lock()
			f, s.again = s.again, nil
			s.running = f != nil
			s.mu.Unlock()
		}
	})
}

func (s *sweeper) wait() { s.wg.Wait() }

// rotated lists the rotated files of path, oldest first, with the times of
// their ends.
func rotated(path string) (names []string, ends []time.Time) {
	ext := filepath.Ext(path)
	prefix := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries { // sorted by name, and so by time
		middle, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".gz"), prefix)
		if !ok || !strings.HasSuffix(middle, ext) {
			continue
		}
		end, err := time.Parse(stamp, strings.TrimSuffix(middle, ext))
		if err != nil || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err != nil || info.Size() == 0 {
			continue // gone meanwhile, or a name that is only claimed yet
		}
		names, ends = append(names, filepath.Join(filepath.Dir(path), e.Name())), append(ends, end)
	}
	return names, ends
}

// sweep removes what is over the limits and compresses the rest. It returns
// true if it left a file because a process still appends to it.
func sweep(path string, o fileOptions, now time.Time) (left bool) {
	names, ends := rotated(path)
	for i, name := range names {
		var err error
		switch {
		case o.keep > 0 && len(names)-i > o.keep || o.maxAge > 0 && now.Sub(ends[i]) > o.maxAge:
			err = whenFree(name, func(*os.File) error { return os.Remove(name) })
		case o.compress && !strings.HasSuffix(name, ".gz"):
			err = whenFree(name, func(in *os.File) error { return compress(in, name, o.mode) })
		}
		left = left || errors.Is(err, errHeld)
	}
	return left
}

// errHeld says that a process still appends to a rotated file.
var errHeld = errors.New("held by another process")

// whenFree calls do with the file at path if no process appends to it, and
// keeps others from doing so meanwhile.
func whenFree(path string, do func(f *os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if !exclude(f) {
		return errHeld
	}
	return do(f)
}

// compress replaces a file by its compressed form, which appears under its
// name only when it is whole and on the disk.
func compress(in *os.File, name string, mode fs.FileMode) (err error) {
	part := name + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	err = errors.Join(err, z.Close(), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(part, name+".gz")
	}
	if err != nil {
		_ = os.Remove(part)
		return err
	}
	return os.Remove(name)
}

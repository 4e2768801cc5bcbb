package log

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stamp is how the end of a rotated file stands in its name, in UTC.
const stamp = "20060102T150405.000"

// rotate gives the file its final name and begins a new one.
func (f *file) rotate(now time.Time) error {
	ext := filepath.Ext(f.path)
	base := strings.TrimSuffix(f.path, ext)
	name := ""
	for i := 0; ; i++ { // two in a millisecond
		name = fmt.Sprintf("%s-%s%s", base, now.UTC().Add(time.Duration(i)*time.Millisecond).Format(stamp), ext)
		if !exists(name) && !exists(name+".gz") {
			break
		}
	}
	if err := os.Rename(f.path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.reopen(now); err != nil {
		return err
	}
	f.tidy()
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// tidy compresses and removes rotated files, beside the writing.
func (f *file) tidy() {
	if f.compress || f.keep > 0 || f.maxAge > 0 {
		o, path := f.fileOptions, f.path
		f.tidying.run(func() { sweep(path, o, time.Now()) })
	}
}

// sweeper runs one sweep at a time, and one more if it was asked for meanwhile.
type sweeper struct {
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
		names, ends = append(names, filepath.Join(filepath.Dir(path), e.Name())), append(ends, end)
	}
	return names, ends
}

// sweep removes what is over the limits and compresses the rest.
func sweep(path string, o fileOptions, now time.Time) {
	names, ends := rotated(path)
	for i, name := range slices.Clone(names) {
		if o.keep > 0 && len(names)-i > o.keep || o.maxAge > 0 && now.Sub(ends[i]) > o.maxAge {
			_ = os.Remove(name)
			continue
		}
		if o.compress && !strings.HasSuffix(name, ".gz") {
			_ = compress(name, o.mode)
		}
	}
}

// compress replaces a file by its compressed form, which appears under its
// name only when it is whole.
func compress(name string, mode fs.FileMode) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	part := name + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	err = errors.Join(err, z.Close(), out.Close())
	if err == nil {
		err = os.Rename(part, name+".gz")
	}
	if err != nil {
		_ = os.Remove(part)
		return err
	}
	return os.Remove(name)
}

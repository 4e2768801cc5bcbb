package file

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
)

// settle is how long notices are collected before the file is read: a write in
// place is several of them.
const settle = 20 * time.Millisecond

// Watch delivers the content and each change of it. It watches directories, not
// the file: a notice on a file is lost with the inode when something is renamed
// over it. Every directory that a symbolic link on the path passes through is
// watched, so that a swap of Kubernetes' ..data is seen.
func (s *source) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil { // no notices to be had (limits): the interval remains
		return s.look(ctx, deliver)
	}
	defer w.Close()
	watched := map[string]bool{}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for looked, failed := looks, 0; ; {
		if s.follow(w, watched) { // before the read, so that no change falls between
			failed = 0
		} else {
			looked, failed = min(failed, looks-1), failed+1
		}
		deliver(s.Read(ctx))
		looked, err = s.wait(ctx, w, tick.C, looked)
		if err != nil {
			return err
		}
	}
}

// look is Watch without notices.
func (s *source) look(ctx context.Context, deliver func(config.Content, error)) error {
	tick := time.NewTicker(min(s.interval, time.Second))
	defer tick.Stop()
	for {
		deliver(s.Read(ctx))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// looks is how often a file is looked at once more after a notice, at growing
// distances from a fifth of a second to five: the end of a directory that was
// replaced may be noticed after the new one is watched, and take the new watch
// with it, on a busy machine much later.
const looks = 4

// wait returns when it is time to read again, and how many looks there have been
// since the last notice, looked until now.
func (s *source) wait(ctx context.Context, w *fsnotify.Watcher, tick <-chan time.Time, looked int) (int, error) {
	var quiet, once <-chan time.Time
	if looked < looks {
		distance := 10 * settle
		for range looked {
			distance *= 3
		}
		once = time.After(distance)
	}
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick:
			return looks, nil
		case <-once:
			return looked + 1, nil
		case <-quiet:
			return 0, nil
		case err, ok := <-w.Errors:
			if !ok {
				return 0, fault.Markf(config.ErrUnavailable, "notices of the system ended")
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				return 0, nil // something was missed
			}
			return 0, fault.Mark(config.ErrUnavailable, err)
		case e, ok := <-w.Events:
			if !ok {
				return 0, fault.Markf(config.ErrUnavailable, "notices of the system ended")
			}
			if e.Op != fsnotify.Chmod && quiet == nil {
				quiet = time.After(settle)
			}
		}
	}
}

// follow watches the directories that matter now, and no others. It reports
// whether it could: one that goes, or comes, while it works may be watched by
// nobody, and its parent neither.
func (s *source) follow(w *fsnotify.Watcher, watched map[string]bool) bool {
	need := s.needed()
	for range 3 {
		done := true
		for dir := range watched {
			if !need[dir] {
				w.Remove(dir)
				delete(watched, dir)
			}
		}
		for dir := range need {
			err := w.Add(dir) // again also if known: it may be a new directory of that name
			watched[dir] = err == nil
			done = done && err == nil
		}
		now := s.needed()
		if done && maps.Equal(now, need) {
			return true
		}
		need = now
	}
	return false
}

// needed returns the directories whose notices can be about the file.
func (s *source) needed() map[string]bool {
	need := map[string]bool{}
	directories(s.path, need, 0)
	if info, err := os.Stat(s.path); err != nil || !info.IsDir() {
		return need
	}
	real, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return need
	}
	need[real] = true
	entries, err := os.ReadDir(real)
	if err != nil {
		return need
	}
	for _, e := range entries { // links to files elsewhere
		if e.Type()&os.ModeSymlink != 0 {
			directories(filepath.Join(real, e.Name()), need, 0)
		}
	}
	return need
}

// directories adds the directory of path, the nearest that exists, and those of
// the links that the path's last element leads through.
func directories(path string, need map[string]bool, links int) {
	dir := filepath.Dir(path)
	for {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			need[real] = true
			// A link in the middle of the path may be swapped as well.
			if real != dir && links < 20 {
				for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
					if info, err := os.Lstat(d); err == nil && info.Mode()&os.ModeSymlink != 0 {
						directories(d, need, links+1)
					}
				}
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if target, err := os.Readlink(path); err == nil && links < 20 {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		directories(target, need, links+1)
	}
}

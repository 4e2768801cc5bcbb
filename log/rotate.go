package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stamp is how the end of a rotated file stands in its name, in UTC.
const stamp = "20060102T150405.000"

// rotate gives the file its final name and begins a new one.
func (f *file) rotate(now time.Time) error {
	at, err := os.Stat(f.path)
	if err == nil && !os.SameFile(at, f.info) { // another process was first
		return f.reopen(now)
	}
	name, err := claim(f.path, now)
	if err != nil {
		return err
	}
	if err := os.Rename(f.path, name); err != nil {
		_ = os.Remove(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.reopen(now); err != nil {
		return err
	}
	f.tidy()
	return nil
}

// claim returns a free name for what is rotated at now. The empty file that it
// leaves there keeps another process from taking the same one.
func claim(path string, now time.Time) (string, error) {
	ext := filepath.Ext(path)
	base := strings.TrimSuffix(path, ext)
	for i := 0; ; i++ { // two in a millisecond
		name := fmt.Sprintf("%s-%s%s", base, now.UTC().Add(time.Duration(i)*time.Millisecond).Format(stamp), ext)
		if exists(name + ".gz") {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return name, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

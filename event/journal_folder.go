package event

import (
	"errors"
	"os"
	"path/filepath"
)

// makeFolder makes a folder and those above it that are not there.
func makeFolder(dir string, sync func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	above := filepath.Dir(dir)
	if above != dir {
		if err := makeFolder(above, sync); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if sync == nil {
		return nil
	}
	return sync(above)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

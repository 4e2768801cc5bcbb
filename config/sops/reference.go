package sops

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/micro/go-platform/config"
)

// maxFile is the most bytes of a file.
const maxFile = 4 << 20

// parse reads "FILE#PATH" or "FILE".
func parse(ref string) (name string, path []string, err error) {
	name, rest, some := strings.Cut(ref, "#")
	if name == "" || !filepath.IsLocal(name) || some && rest == "" {
		return "", nil, fmt.Errorf("want FILE#PATH, or FILE of a binary one: %w", config.ErrInvalid)
	}
	name = filepath.Clean(name)
	if binary(name) == some {
		if some {
			return "", nil, fmt.Errorf("%s: binary, and has no path: %w", name, config.ErrInvalid)
		}
		return "", nil, fmt.Errorf("%s: want a path after #: %w", name, config.ErrInvalid)
	}
	if some {
		path = config.SplitPath(rest)
	}
	return name, path, nil
}

// read returns a regular file below dir.
func read(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileError(err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, fileError(err)
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return nil, fmt.Errorf("%s: not a regular file: %w", name, config.ErrInvalid)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fileError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fileError(err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", name, maxFile, config.ErrTooLarge)
	}
	return text, nil
}

// fileError gives an error of the file system its kind.
func fileError(err error) error {
	kind := config.ErrUnavailable
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = config.ErrNotFound
	case errors.Is(err, os.ErrPermission):
		kind = config.ErrDenied
	}
	return fmt.Errorf("%w: %w", err, kind)
}

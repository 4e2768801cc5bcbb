// Package file has the file source of config: one document, or a directory of
// documents that merge in the order of their names.
//
//	config.WithSource(file.Source("/etc/app/app.yaml", file.WithFormat(yaml.Format{})))
//
// It follows what editors, deployments and Kubernetes do: writing in place,
// renaming over, deleting and creating again, swapping a symbolic link
// anywhere on the path. Changes come from the system's notices, and from
// a look at the file every 30 s (WithInterval) where those don't arrive.
package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option is an option of Source.
type Option func(*source) error

// WithFormat adds a format; files choose theirs by extension. JSON is there
// without it. A file with an extension that no format has takes the format, if
// exactly one was given.
func WithFormat(f config.Format) Option {
	return func(s *source) error {
		s.formats = append(s.formats, f)
		return fronts.Given(f, "WithFormat")
	}
}

// Source returns the source of the file or directory at path. Of a directory
// it reads the files that have a format's extension, not those whose names
// begin with a dot, and no directories below. A file that isn't there is
// config.ErrNotFound, an empty one invalid, unless the source is Optional.
func Source(path string, opts ...Option) config.Source {
	return &source{path: path, opts: opts, interval: 30 * time.Second}
}

type source struct {
	path     string
	opts     []Option
	formats  []config.Format
	interval time.Duration
}

func (s *source) Name() string { return "file " + s.path }

func (s *source) Open(context.Context) error {
	if s.path == "" || strings.ContainsRune(s.path, 0) {
		return fmt.Errorf("path %q: %w", s.path, config.ErrInvalid)
	}
	if err := fronts.Apply(s, s.opts); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	s.formats = append(s.formats, config.JSON{})
	var err error
	s.path, err = filepath.Abs(s.path)
	if err != nil { // a later chdir must not matter
		return err
	}
	if len(s.formats) == 1 && filepath.Ext(s.path) != "" {
		_, err = s.format(s.path)
	}
	return err
}

// format finds the format of a file by its name.
func (s *source) format(name string) (config.Format, error) {
	if f := s.known(name); f != nil {
		return f, nil
	}
	if len(s.formats) == 2 {
		return s.formats[0], nil
	}
	ext := strings.ToLower(filepath.Ext(name))
	known := map[string]string{".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
	if pkg := known[ext]; pkg != "" {
		return nil, fault.Markf(config.ErrInvalid,
			`%s needs a format: import "github.com/micro/go-platform/config/%s" and give file.WithFormat(%[2]s.Format{})`, filepath.Base(name), pkg)
	}
	if ext == "" && len(s.formats) == 1 {
		return config.JSON{}, nil
	}
	return nil, fault.Markf(config.ErrInvalid, "%s: no format has the extension %q, give one with file.WithFormat", filepath.Base(name), ext)
}

func (s *source) Read(ctx context.Context) (config.Content, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return config.Content{}, kind(err)
	}
	var c config.Content
	if info.IsDir() {
		c.Parts, err = s.directory(ctx)
	} else {
		c.Parts = make([]config.Part, 1)
		c.Parts[0], err = s.part(s.path)
	}
	if err != nil {
		return config.Content{}, err
	}
	h := sha256.New()
	for _, p := range c.Parts {
		fmt.Fprintf(h, "%q %d\n", p.Name, len(p.Data))
		h.Write(p.Data)
	}
	c.Revision = hex.EncodeToString(h.Sum(nil)[:8])
	return c, nil
}

func (s *source) directory(ctx context.Context) ([]config.Part, error) {
	entries, err := os.ReadDir(s.path) // sorted by name
	if err != nil {
		return nil, kind(err)
	}
	var parts []config.Part
	for _, e := range entries {
		name := e.Name()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if strings.HasPrefix(name, ".") || s.known(name) == nil {
			continue
		}
		full := filepath.Join(s.path, name)
		if info, err := os.Stat(full); err == nil && info.IsDir() {
			continue
		}
		p, err := s.part(full)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.Name = name
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, fault.Markf(config.ErrNotFound, "no file in the directory has an extension of a format")
	}
	return parts, nil
}

// known returns the format that has a file's extension, or nil.
func (s *source) known(name string) config.Format {
	ext := strings.ToLower(filepath.Ext(name))
	for _, f := range s.formats {
		if slices.Contains(f.Extensions(), ext) {
			return f
		}
	}
	return nil
}

func (s *source) part(name string) (config.Part, error) {
	format, err := s.format(name)
	if err != nil {
		return config.Part{}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return config.Part{}, kind(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return config.Part{}, fault.Markf(config.ErrInvalid, "%s is not a regular file", name) // a pipe would block
	}
	data, err := io.ReadAll(io.LimitReader(f, config.MaxSize+1))
	if err != nil {
		return config.Part{}, kind(err)
	}
	return config.Part{Data: data, Format: format}, nil
}

func kind(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Mark(config.ErrNotFound, err)
	}
	return fault.Mark(config.ErrUnavailable, err)
}

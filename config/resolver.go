package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Resolver returns what a configuration refers to instead of holding it: a
// password in a mounted file, an entry of a vault. See WithResolver.
//
//  1. Resolve returns the value of ref as it is now, UTF-8 and at most 1 MiB.
//  2. What is not there is ErrNotFound; a server that can't be asked is
//     ErrUnavailable; a ref that can't be one is ErrInvalid. An error repeats no
//     value.
//  3. It may be called concurrently, and ends promptly when ctx does.
type Resolver interface {
	Resolve(ctx context.Context, ref string) (string, error)
}

// ResolverFunc is a function as a Resolver.
type ResolverFunc func(ctx context.Context, ref string) (string, error)

// Resolve calls f.
func (f ResolverFunc) Resolve(ctx context.Context, ref string) (string, error) { return f(ctx, ref) }

// ResolverOption is an option of one resolver, see WithResolver.
type ResolverOption func(*scheme) error

// ResolveEvery is how often the resolver is asked again for the references that
// are in use. The default is 10 s.
func ResolveEvery(d time.Duration) ResolverOption {
	return func(s *scheme) error { return fronts.Positive("ResolveEvery", d, &s.every) }
}

// WithResolver makes "${scheme:ref}" in a string stand for what r returns for
// ref. With WithResolver("file", Files("/run/secrets")):
//
//	password: ${file:db}
//	dsn: postgres://app:${file:db}@db/shop
//
// A string may hold several references and text around them, which is joined as
// it is; "$${" is a plain "${". It has no type, as from the environment, and is
// secret as a whole, whatever its key: no output shows it, and the
// last-known-good file holds the reference, not the value. Sources may write
// references wherever they may write values, so give a resolver nothing that
// the authors of the configuration may not use.
//
// Each reference is resolved when it is first met and again every 10 s
// (ResolveEvery); another value is a change like any other. A reference that
// can't be resolved at first is an error of New, and later refuses the change
// that brought it; one that could before keeps its last value, and Health says
// since when. Without WithResolver, and for what has no scheme ("${HOME}"),
// strings stay as they are; a scheme without a resolver is an error.
func WithResolver(name string, r Resolver, opts ...ResolverOption) Option {
	return func(o *options) error {
		if fronts.Nil(r) {
			return fmt.Errorf("WithResolver(%q): nil resolver", name)
		}
		if !validScheme(name) {
			return fmt.Errorf("WithResolver(%q): want a scheme of letters, digits, +, - and ., a letter first", name)
		}
		if o.schemes[name] != nil {
			return fmt.Errorf("WithResolver(%q): given twice", name)
		}
		s := &scheme{name: name, resolver: r, every: 10 * time.Second}
		err := fronts.Apply(s, opts)
		if err != nil {
			return fmt.Errorf("WithResolver(%q): %w", name, err)
		}
		if o.schemes == nil {
			o.schemes = map[string]*scheme{}
		}
		o.schemes[name] = s
		return nil
	}
}

// scheme is a resolver under its name.
type scheme struct {
	name     string
	resolver Resolver
	every    time.Duration
}

const (
	maxReference = 4 << 10 // bytes of one
	maxResolved  = 1 << 20 // bytes of its value
)

// resolve asks the resolver for one value and checks it. A panic is an error.
func (s *scheme) resolve(ctx context.Context, ref string) (value string, err error) {
	err = fault.Guard(func() error {
		value, err = s.resolver.Resolve(ctx, ref)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		err = fault.Mark(ErrUnavailable, err)
	case err != nil && fault.KindOf(err) == nil:
		err = fault.Mark(ErrInvalid, err)
	case err == nil && len(value) > maxResolved:
		err = fault.Markf(ErrTooLarge, "%d bytes, want at most %d", len(value), maxResolved)
	case err == nil && !utf8.ValidString(value):
		err = fault.Markf(ErrInvalid, "not valid UTF-8")
	}
	if err != nil {
		return "", err
	}
	return value, nil
}

func validScheme(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

// Files resolves references to the files below a directory, such as a mounted
// Secret of Kubernetes or /run/secrets. A ref is a name relative to it, or an
// absolute one within it; nothing outside is read, also not by symbolic links.
// The value is the file's text without one newline at its end.
func Files(dir string) Resolver { return files(dir) }

type files string

func (dir files) Resolve(_ context.Context, ref string) (string, error) {
	name := ref
	if filepath.IsAbs(ref) {
		rel, err := filepath.Rel(string(dir), ref)
		if err != nil {
			return "", fault.Markf(ErrInvalid, "not below %s", string(dir))
		}
		name = rel
	}
	if !filepath.IsLocal(name) {
		return "", fault.Markf(ErrInvalid, "not below %s", string(dir))
	}
	root, err := os.OpenRoot(string(dir))
	if err != nil {
		return "", fileError(err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return "", fileError(err)
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return "", fault.Markf(ErrInvalid, "not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return "", fileError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxResolved+3))
	if err != nil {
		return "", fileError(err)
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

func fileError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.Mark(ErrNotFound, err)
	case errors.Is(err, os.ErrPermission):
		return fault.Mark(ErrDenied, err)
	}
	return fault.Mark(ErrUnavailable, err)
}

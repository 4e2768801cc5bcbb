package sops

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/micro/go-platform/config"
)

// Resolver resolves references to values in files below a folder. It is safe for
// concurrent use.
type Resolver struct {
	dir        string
	identities []age.Identity

	mu    sync.Mutex
	known map[string]*decrypted // by name
	bytes int                   // of the files in known
}

// decrypted is what a file holds.
type decrypted struct {
	content [sha256.Size]byte // hash of the encrypted file
	bytes   int
	tree    any
	err     error // why this content can't be decrypted
	at      time.Time
}

// fresh reports whether d is what content holds, still. An identity may be one that
// a plugin or a device has, which is not there for a moment, so a refusal is.
func (d *decrypted) fresh(content [sha256.Size]byte) bool {
	return d != nil && d.content == content && (!errors.Is(d.err, config.ErrDenied) || time.Since(d.at) < refusedFor)
}

// Bounds of what is remembered. What is more is decrypted again each time.
const (
	maxFiles   = 256
	maxBytes   = 32 << 20        // of the encrypted files; what they hold takes about as much
	refusedFor = 5 * time.Second // less than config.ResolveEvery: the references of one pass share a refusal
)

// New returns a resolver of the files below dir, which need not be there yet. At
// least one identity is needed.
func New(dir string, identities ...age.Identity) (*Resolver, error) {
	switch {
	case dir == "":
		return nil, fmt.Errorf("config/sops: empty folder: %w", config.ErrInvalid)
	case len(identities) == 0:
		return nil, fmt.Errorf("config/sops: no identity: %w", config.ErrInvalid)
	case slices.Contains(identities, nil):
		return nil, fmt.Errorf("config/sops: nil identity: %w", config.ErrInvalid)
	}
	return &Resolver{dir: dir, identities: slices.Clone(identities), known: map[string]*decrypted{}}, nil
}

// Resolve returns the value of a reference, "FILE#PATH", or "FILE" for all of a
// binary one.
func (r *Resolver) Resolve(ctx context.Context, ref string) (string, error) {
	name, path, err := parse(ref)
	if err != nil {
		return "", err
	}
	text, err := read(r.dir, name)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	tree, err := r.decrypt(name, text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	value, err := find(tree, path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// decrypt returns what text holds. One file is decrypted at a time.
func (r *Resolver) decrypt(name string, text []byte) (any, error) {
	content := sha256.Sum256(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.known[name]; d.fresh(content) {
		return d.tree, d.err
	}
	d := &decrypted{content: content, bytes: len(text)}
	d.tree, d.err = open(name, text, r.identities)
	d.at = time.Now()
	if old := r.known[name]; old != nil {
		r.bytes -= old.bytes
		delete(r.known, name)
	}
	if len(r.known) >= maxFiles || r.bytes+d.bytes > maxBytes {
		clear(r.known)
		r.bytes = 0
	}
	r.known[name] = d
	r.bytes += d.bytes
	return d.tree, d.err
}

// invalid is an error without what a parser says, which may quote the file.
func invalid(text string) error { return fmt.Errorf("%s: %w", text, config.ErrInvalid) }

package sops

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

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
}

// decrypted is what a file holds.
type decrypted struct {
	content [sha256.Size]byte // hash of the encrypted file
	tree    any
	err     error // why this content can't be decrypted
}

// maxFiles bounds what is remembered. More are decrypted again each time.
const maxFiles = 256

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
	if d := r.known[name]; d != nil && d.content == content {
		return d.tree, d.err
	}
	d := &decrypted{content: content}
	d.tree, d.err = open(name, text, r.identities)
	if len(r.known) >= maxFiles && r.known[name] == nil {
		clear(r.known)
	}
	r.known[name] = d
	return d.tree, d.err
}

// invalid is an error without what a parser says, which may quote the file.
func invalid(text string) error { return fmt.Errorf("%s: %w", text, config.ErrInvalid) }

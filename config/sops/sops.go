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
	turn       chan struct{} // held by who decrypts

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
	return &Resolver{dir: dir, identities: slices.Clone(identities), turn: make(chan struct{}, 1), known: map[string]*decrypted{}}, nil
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
	tree, err := r.decrypt(ctx, name, text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	value, err := find(tree, path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// decrypt returns what text holds. One file is decrypted at a time, and goes on
// when ctx ends: an identity may be a device that waits for somebody's hand.
func (r *Resolver) decrypt(ctx context.Context, name string, text []byte) (any, error) {
	content := sha256.Sum256(text)
	if d := r.remembered(name, content); d != nil {
		return d.tree, d.err
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan *decrypted, 1)
	go func() {
		defer func() { <-r.turn }()
		d := r.remembered(name, content) // by who had the turn before
		if d == nil {
			d = &decrypted{content: content, bytes: len(text)}
			d.tree, d.err = r.open(name, text)
			r.remember(name, d)
		}
		done <- d
	}()
	select {
	case d := <-done:
		return d.tree, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open is open with the resolver's identities, of which a panic is an error.
func (r *Resolver) open(name string, text []byte) (tree any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = invalid("can't be decrypted: an identity or a parser has panicked")
		}
	}()
	return open(name, text, r.identities)
}

// remembered returns what is known of a file, nil for nothing that counts still.
func (r *Resolver) remembered(name string, content [sha256.Size]byte) *decrypted {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.known[name]; d.fresh(content) {
		return d
	}
	return nil
}

func (r *Resolver) remember(name string, d *decrypted) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
}

// invalid is an error without what a parser says, which may quote the file.
func invalid(text string) error { return fmt.Errorf("%s: %w", text, config.ErrInvalid) }

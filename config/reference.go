package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// references are those that the running configuration holds, with their values.
type references struct {
	schemes map[string]*scheme
	timeout time.Duration

	mu    sync.Mutex
	known map[string]*reference // those of the running snapshot, by "scheme:ref"
	unmet map[*scheme]bool      // who could not resolve what newer content holds
}

// reference is one that was resolved. What it holds is guarded by references.mu.
type reference struct {
	scheme *scheme
	ref    string
	value  string
	err    error // why the newest value can't be had
	since  time.Time
}

// piece is a part of a string: text, or a reference.
type piece struct {
	text string // of a reference "scheme:ref"
	ref  bool
}

// pieces cuts a string. It is nil for one that holds nothing to replace.
func pieces(s string) (all []piece, err error) {
	if !strings.Contains(s, "${") {
		return nil, nil
	}
	plain := func(t string) {
		if n := len(all); n > 0 && !all[n-1].ref {
			all[n-1].text += t
		} else if t != "" {
			all = append(all, piece{text: t})
		}
	}
	replaced := false
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			plain(s)
			break
		}
		if i > 0 && s[i-1] == '$' { // "$${"
			plain(s[:i] + "{")
			s, replaced = s[i+2:], true
			continue
		}
		inner, rest, closed := strings.Cut(s[i+2:], "}")
		name, ref, both := strings.Cut(inner, ":")
		if !both || !validScheme(name) {
			plain(s[:i+2])
			s = s[i+2:]
			continue
		}
		switch {
		case !closed:
			return nil, fmt.Errorf("reference ${%s: without its end", name)
		case ref == "":
			return nil, fmt.Errorf("reference ${%s:} names nothing", name)
		case len(ref) > maxReference:
			return nil, fmt.Errorf("reference ${%s:… of %d bytes, want at most %d", name, len(ref), maxReference)
		}
		plain(s[:i])
		all = append(all, piece{text: inner, ref: true})
		s, replaced = rest, true
	}
	if !replaced {
		return nil, nil
	}
	return all, nil
}

// expand returns the tree with its references replaced, and what they are. It
// asks for those that the running snapshot doesn't have.
func (rs *references) expand(ctx context.Context, root *tree) (*tree, map[string]*reference, error) {
	if rs == nil {
		return root, nil, nil
	}
	e := &expansion{rs: rs, found: map[string]*reference{}}
	e.collect("", root)
	if len(e.errs) == 0 && (len(e.found) > 0 || e.escapes) {
		e.resolve(ctx)
		root = e.replace("", root)
	}
	return root, e.found, errors.Join(e.errs...)
}

// adopt notes the references of the snapshot that runs from now on.
func (rs *references) adopt(found map[string]*reference) {
	if rs == nil {
		return
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.known, rs.unmet = found, nil // nothing of what runs is unmet
}

// expansion is one call of expand.
type expansion struct {
	rs      *references
	found   map[string]*reference
	fresh   []*reference // of found, those to be asked for
	failed  map[string]error
	escapes bool
	errs    []error
}

// collect finds the references of a tree.
func (e *expansion) collect(path string, t *tree) {
	switch t.kind {
	case String, Text:
		all, err := pieces(t.text)
		if err != nil {
			e.fail(&FieldError{Path: path, Origin: t.origin(), Problem: err.Error()})
		}
		for _, p := range all {
			if !p.ref {
				e.escapes = true
				continue
			}
			e.add(path, t, p.text)
		}
	case Array:
		for i, item := range t.items {
			e.collect(joinIndex(path, i), item)
		}
	case Object:
		for _, m := range t.members {
			e.collect(join(path, m.key), m.val)
		}
	}
}

func (e *expansion) add(path string, t *tree, key string) {
	name, ref, _ := strings.Cut(key, ":")
	s := e.rs.schemes[name]
	if s == nil {
		e.fail(&FieldError{Path: path, Origin: t.origin(), Problem: fmt.Sprintf("no resolver for the scheme %q of a reference; a plain \"${\" is written \"$${\"", name)})
		return
	}
	if e.found[key] != nil {
		return
	}
	e.rs.mu.Lock()
	r := e.rs.known[key]
	e.rs.mu.Unlock()
	if r == nil {
		r = &reference{scheme: s, ref: ref}
		e.fresh = append(e.fresh, r)
	}
	e.found[key] = r
}

func (e *expansion) fail(err error) {
	if len(e.errs) < mostErrors {
		e.errs = append(e.errs, err)
	}
}

// resolve asks for the references that are new.
func (e *expansion) resolve(ctx context.Context) {
	errs := e.rs.ask(ctx, e.fresh, func(r *reference, value string) { r.value = value })
	e.failed = map[string]error{}
	e.rs.mu.Lock()
	defer e.rs.mu.Unlock()
	e.rs.unmet = map[*scheme]bool{}
	for r, err := range errs {
		e.failed[r.scheme.name+":"+r.ref] = err
		e.rs.unmet[r.scheme] = true
	}
}

// replace returns the tree with values instead of references. What holds none
// is shared.
func (e *expansion) replace(path string, t *tree) *tree {
	switch t.kind {
	case String, Text:
		all, _ := pieces(t.text)
		if all == nil {
			return t
		}
		out := *t
		out.text = e.join(path, t, all, &out)
		return &out
	case Array:
		items := slices.Clone(t.items)
		for i, item := range items {
			items[i] = e.replace(joinIndex(path, i), item)
		}
		if !slices.Equal(items, t.items) {
			out := *t
			out.items = items
			return &out
		}
	case Object:
		members := slices.Clone(t.members)
		for i, m := range members {
			members[i].val = e.replace(join(path, m.key), m.val)
		}
		if !slices.Equal(members, t.members) {
			out := *t
			out.members = members
			return &out
		}
	}
	return t
}

// join puts the pieces of a string together.
func (e *expansion) join(path string, t *tree, all []piece, out *tree) string {
	var b strings.Builder
	for _, p := range all {
		if !p.ref {
			b.WriteString(p.text)
			continue
		}
		out.kind, out.secret = Text, true
		if err := e.failed[p.text]; err != nil {
			e.fail(fmt.Errorf("%v: %s: reference ${%s}: %w", t.origin(), path, p.text, err))
			continue
		}
		e.rs.mu.Lock()
		b.WriteString(e.found[p.text].value)
		e.rs.mu.Unlock()
	}
	return b.String()
}

// ask resolves references, a few at a time, calls got with what was found and
// returns why others were not.
func (rs *references) ask(ctx context.Context, all []*reference, got func(r *reference, value string)) map[*reference]error {
	ctx, cancel := context.WithTimeout(ctx, rs.timeout)
	defer cancel()
	const atATime = 8
	next := make(chan *reference)
	errs := map[*reference]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(atATime, len(all)) {
		wg.Go(func() {
			for r := range next {
				value, err := r.scheme.resolve(ctx, r.ref)
				mu.Lock()
				if err != nil {
					errs[r] = err
				} else {
					got(r, value)
				}
				mu.Unlock()
			}
		})
	}
	for _, r := range all {
		next <- r
	}
	close(next)
	wg.Wait()
	return errs
}

// refresh resolves the references of a scheme again (nil: of all). It reports
// whether one has another value, or may have one at last.
func (rs *references) refresh(ctx context.Context, of *scheme) (changed bool) {
	var all []*reference
	rs.mu.Lock()
	for _, r := range rs.known {
		if of == nil || r.scheme == of {
			all = append(all, r)
		}
	}
	changed = of != nil && rs.unmet[of]
	rs.mu.Unlock()
	errs := rs.ask(ctx, all, func(r *reference, value string) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		changed = changed || value != r.value
		r.value, r.err, r.since = value, nil, time.Time{}
	})
	if ctx.Err() != nil {
		return changed
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r, err := range errs {
		if r.err == nil {
			r.since = time.Now()
		}
		r.err = err
	}
	return changed
}

// unresolved says which references keep an old value, and since when.
func (rs *references) unresolved() (errs []error) {
	if rs == nil {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for key, r := range rs.known {
		if r.err != nil {
			errs = append(errs, &SourceError{Source: "${" + key + "}", Since: r.since, Err: fault.Adopt("config", r.err)})
		}
	}
	return errs
}

// rotate keeps the references of a scheme up to date until ctx ends.
func (c *front) rotate(ctx context.Context, s *scheme) {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.heard(c.refs.refresh(ctx, s))
		case <-ctx.Done():
			return
		}
	}
}

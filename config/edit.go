package config

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

// SetPath returns a JSON document with value at path, whatever was there.
// Objects on the way are made; a scalar on the way is an error, as is an index
// beyond the end of an array (the index of the end itself appends). value is
// JSON (json.RawMessage) or anything that encoding/json marshals.
func SetPath(document []byte, path string, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fault.Mark(ErrInvalid, err)
	}
	val, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return edit(document, path, val)
}

// DeletePath returns a JSON document without what is at path. Nothing there is
// no error. Items of an array behind a deleted one move up.
func DeletePath(document []byte, path string) ([]byte, error) {
	if path == "" {
		return []byte("{}"), nil
	}
	return edit(document, path, nil)
}

func parseTree(data []byte) (*tree, error) { return parseDocument(Part{Data: data}, nil) }

// parseDocument returns the document of a part, which has to be there.
func parseDocument(p Part, from *provenance) (*tree, error) {
	n, err := parsePart(p)
	if err == nil && n == nil {
		err = &SyntaxError{Problem: "empty document"}
	}
	if err != nil {
		return nil, err
	}
	return seal(n, from)
}

func edit(document []byte, path string, val *tree) ([]byte, error) {
	root, err := parseTree(document)
	if err != nil {
		return nil, err
	}
	keys := SplitPath(path)
	if len(keys) > maxDepth {
		return nil, fault.Markf(ErrInvalid, "path of %d keys, at most %d", len(keys), maxDepth)
	}
	if slices.Contains(keys, "") {
		return nil, fault.Markf(ErrInvalid, "path %q has an empty key", path)
	}
	root, err = root.with(keys, val, "")
	if err != nil {
		return nil, err
	}
	return appendJSON(nil, root, "", nil), nil
}

// with returns t with val at keys; a nil val deletes.
func (t *tree) with(keys []string, val *tree, at string) (*tree, error) {
	if len(keys) == 0 {
		return val, nil
	}
	if t == nil {
		t = emptyObject
	}
	key, rest := keys[0], keys[1:]
	here := join(at, key)
	out := *t
	switch t.kind {
	case Array:
		old := t.child(key)
		if old == nil && val == nil {
			return t, nil
		}
		i, ok := index(key)
		if !ok || i > len(t.items) {
			return nil, fault.Markf(ErrInvalid, "%s: no index of an array of %d items", here, len(t.items))
		}
		next, err := old.with(rest, val, here)
		if err != nil {
			return nil, err
		}
		out.items = slices.Clone(t.items)
		switch {
		case next == nil:
			out.items = slices.Delete(out.items, i, i+1)
		case i == len(out.items):
			out.items = append(out.items, next)
		default:
			out.items[i] = next
		}
		return &out, nil
	case Object:
		i, found := t.member(key)
		if !found && val == nil {
			return t, nil
		}
		var old *tree
		if found {
			old = t.members[i].val
		}
		next, err := old.with(rest, val, here)
		if err != nil {
			return nil, err
		}
		out.members = slices.Clone(t.members)
		switch {
		case next == nil:
			out.members = slices.Delete(out.members, i, i+1)
		case found:
			out.members[i].val = next
		default:
			out.members = slices.Insert(out.members, i, branch{key, next})
		}
		return &out, nil
	}
	if val == nil {
		return t, nil
	}
	return nil, fault.Markf(ErrInvalid, "%s: what is above it is of type %s and holds no keys", here, t.kind)
}

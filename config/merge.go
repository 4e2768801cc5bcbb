package config

import "fmt"

// merge applies patch to target as RFC 7396 (JSON Merge Patch) says: objects
// merge member by member, null deletes, everything else replaces. Neither
// argument is changed; what is the same on both sides is shared.
func merge(target, patch *tree) *tree {
	if patch.kind != Object {
		return patch
	}
	var base []branch
	if target != nil && target.kind == Object {
		base = target.members
	}
	if len(base) == 0 && clean(patch) {
		return patch
	}
	t := *patch
	t.members = make([]branch, 0, len(base)+len(patch.members))
	eachKey(base, patch.members, func(key string, low, high *tree) {
		switch {
		case high == nil:
			t.members = append(t.members, branch{key, low})
		case high.kind != Null:
			t.members = append(t.members, branch{key, merge(low, high)})
		}
	})
	return &t
}

// eachKey calls f with every key of two objects, in order, and what each of them
// has there: nil if it has nothing.
func eachKey(a, b []branch, f func(key string, a, b *tree)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].key < b[0].key:
			f(a[0].key, a[0].val, nil)
			a = a[1:]
		case len(a) == 0 || b[0].key < a[0].key:
			f(b[0].key, nil, b[0].val)
			b = b[1:]
		default:
			f(a[0].key, a[0].val, b[0].val)
			a, b = a[1:], b[1:]
		}
	}
}

// clean reports whether merging an object into nothing would change nothing:
// no null stands in it or in the objects below. Arrays are values of their own.
func clean(t *tree) bool {
	for _, m := range t.members {
		if m.val.kind == Null || m.val.kind == Object && !clean(m.val) {
			return false
		}
	}
	return true
}

// MergePatch applies a JSON Merge Patch (RFC 7396) to a JSON document and
// returns the result as compact JSON with sorted keys.
func MergePatch(document, patch []byte) ([]byte, error) {
	target, err := parseTree(document)
	if err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	change, err := parseTree(patch)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	return appendJSON(nil, merge(target, change), "", nil), nil
}

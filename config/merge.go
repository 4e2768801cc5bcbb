package config

import "fmt"

// merge applies patch to target as RFC 7396 (JSON Merge Patch) says: objects
// merge member by member, null deletes, everything else replaces. Neither
// argument is changed; what is the same on both sides is shared.
func merge(target, patch *tree) *tree {
	if patch == nil || patch.kind == Missing {
		return target
	}
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
	out := make([]branch, 0, len(base)+len(patch.members))
	over := patch.members
	for len(base) > 0 || len(over) > 0 {
		switch {
		case len(over) == 0 || len(base) > 0 && base[0].key < over[0].key:
			out = append(out, base[0])
			base = base[1:]
		case len(base) == 0 || over[0].key < base[0].key:
			if over[0].val.kind != Null {
				out = append(out, branch{over[0].key, merge(nil, over[0].val)})
			}
			over = over[1:]
		default:
			if over[0].val.kind != Null {
				out = append(out, branch{over[0].key, merge(base[0].val, over[0].val)})
			}
			base, over = base[1:], over[1:]
		}
	}
	t := *patch
	t.members = out
	return &t
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

package config

// Diff returns what differs between two values, one Change for each path where
// they do: objects are compared key by key, everything else as a whole. Its
// String redacts secrets.
func Diff(old, new Value) []Change {
	var out []Change
	diff(&out, old, new)
	return out
}

func diff(out *[]Change, old, new Value) {
	if old.Equal(new) {
		return
	}
	if old.Kind() != Object || new.Kind() != Object {
		c := Change{Path: new.path, Old: old, New: new}
		if new.t == nil {
			c.Path = old.path
		}
		if new.s != nil {
			c.Version = new.s.version
		}
		*out = append(*out, c)
		return
	}
	a, b := old.t.members, new.t.members
	sub := func(v Value, m branch) Value { return Value{t: m.val, s: v.s, path: join(v.path, m.key)} }
	none := func(v Value, key string) Value { return Value{s: v.s, path: join(v.path, key)} }
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].key < b[0].key:
			diff(out, sub(old, a[0]), none(new, a[0].key))
			a = a[1:]
		case len(a) == 0 || b[0].key < a[0].key:
			diff(out, none(old, b[0].key), sub(new, b[0]))
			b = b[1:]
		default:
			diff(out, sub(old, a[0]), sub(new, b[0]))
			a, b = a[1:], b[1:]
		}
	}
}

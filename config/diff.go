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
	eachKey(old.t.members, new.t.members, func(key string, a, b *tree) {
		diff(out, Value{t: a, s: old.s, path: join(old.path, key)}, Value{t: b, s: new.s, path: join(new.path, key)})
	})
}

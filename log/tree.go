package log

import "log/slog"

// tree returns all attributes of a record: those of the context, of With and of
// the record, in nested groups without empty ones.
func (h *handler) tree(context []slog.Attr, r *slog.Record, more []slog.Attr) []slog.Attr {
	f := h.front
	own := make([]slog.Attr, 0, r.NumAttrs()+len(more))
	r.Attrs(func(a slog.Attr) bool { own = append(own, a); return true })
	own = f.tidy(h.groups, nil, append(own, more...))
	// From the inside out: what belongs to each depth, then the group around.
	inner := own
	trees := h.trees
	for depth := len(h.groups); depth >= 0; depth-- {
		first := len(trees)
		for first > 0 && trees[first-1].depth == depth {
			first--
		}
		var here []slog.Attr
		if depth == 0 {
			here = f.tidy(nil, here, context)
		}
		for _, t := range trees[first:] {
			here = append(here, t.attrs...)
		}
		trees = trees[:first]
		here = append(here, inner...)
		if depth == 0 {
			inner = here
		} else if len(here) > 0 {
			if f.dedup {
				here = dedup(here)
			}
			inner = []slog.Attr{{Key: h.groups[depth-1], Value: slog.GroupValue(here...)}}
		}
	}
	if f.dedup {
		return dedup(inner)
	}
	return inner
}

// tidy appends the attributes as they are to be written: resolved, redacted,
// nameless groups inlined, empty ones left out.
func (f *front) tidy(groups []string, dst, attrs []slog.Attr) []slog.Attr {
	for _, a := range attrs {
		a, ok := f.resolve(groups, a)
		switch {
		case !ok:
		case a.Value.Kind() != slog.KindGroup:
			dst = append(dst, a)
		case a.Key == "":
			dst = f.tidy(groups, dst, a.Value.Group())
		default:
			below := f.tidy(append(groups[:len(groups):len(groups)], a.Key), nil, a.Value.Group())
			if len(below) > 0 {
				if f.dedup {
					below = dedup(below)
				}
				dst = append(dst, slog.Attr{Key: a.Key, Value: slog.GroupValue(below...)})
			}
		}
	}
	return dst
}

// dedup keeps the last of the attributes with an equal key, where it stands.
func dedup(attrs []slog.Attr) []slog.Attr {
	last := make(map[string]int, len(attrs))
	for i, a := range attrs {
		last[a.Key] = i
	}
	if len(last) == len(attrs) {
		return attrs
	}
	kept := make([]slog.Attr, 0, len(last))
	for i, a := range attrs {
		if last[a.Key] == i {
			kept = append(kept, a)
		}
	}
	return kept
}

package log

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// handler is the slog.Handler of one name with what With and WithGroup added.
// It is immutable.
type handler struct {
	front  *front
	name   string
	rule   *rule
	groups []string
	pre    []prefix  // by encoding: what was added, already encoded
	trees  []attrsAt // and as it is, for encodings of others and for WithDedup
}

// prefix is encoded attributes.
type prefix struct {
	data []byte
	open int // how many of the handler's groups are opened in data
}

// attrsAt is attributes below the first depth of the handler's groups.
type attrsAt struct {
	depth int
	attrs []slog.Attr
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return int64(l) >= h.rule.least.Load()
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	return &c
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	c := *h
	c.pre = slices.Clone(h.pre)
	for i, e := range h.front.encodings {
		if e.inc == nil {
			continue
		}
		w := writer{f: h.front, enc: e.inc, dst: slices.Clone(h.pre[i].data), groups: h.groups, opened: h.pre[i].open}
		before := len(w.dst)
		w.openAll()
		start := len(w.dst)
		for _, a := range attrs {
			w.attr(a)
		}
		if len(w.dst) == start { // nothing was worth writing
			w.dst = w.dst[:before]
			w.opened = h.pre[i].open
		}
		c.pre[i] = prefix{data: slices.Clip(w.dst), open: w.opened}
	}
	if h.front.needTrees {
		if list := h.front.tidy(h.groups, nil, attrs); len(list) > 0 {
			c.trees = append(slices.Clip(h.trees), attrsAt{len(h.groups), list})
		}
	}
	return &c
}

// scratch is what one call of Handle works in.
type scratch struct {
	buf    []byte
	attrs  []slog.Attr // of the context
	groups [8]string
}

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 1024)} }}

// maxScratch is the largest buffer that is kept for another record.
const maxScratch = 64 << 10

func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.HandleAttrs(ctx, r, nil) }

// HandleAttrs is Handle of a record that has more attributes than it carries,
// and keeps none of them: who makes many, as package wrapper does, can use their
// memory again.
func (h *handler) HandleAttrs(ctx context.Context, r slog.Record, more []slog.Attr) error {
	f := h.front
	var suppressed uint64
	if f.limiter != nil && r.Level < LevelFatal {
		ok := false
		ok, suppressed = f.limiter.allow(r.PC, r.Time)
		if !ok {
			return nil
		}
	}
	s := scratches.Get().(*scratch)
	source := ""
	if f.source && r.Level >= f.from {
		source = sourceOf(r.PC)
	}
	if f.context != nil && ctx != nil {
		s.attrs = f.context(ctx, s.attrs)
	}
	if suppressed > 0 {
		s.attrs = append(s.attrs, slog.Uint64("suppressed", suppressed))
	}
	for i := range f.encodings {
		e := &f.encodings[i]
		if r.Level < e.least {
			continue
		}
		if e.inc != nil && !f.dedup {
			s.buf = h.encode(s, e.inc, h.pre[i], &r, more, source)
		} else {
			var err error
			s.buf, err = encode(e.enc, s.buf[:0], &Record{Time: r.Time, Level: r.Level, Logger: h.name, Message: r.Message, Source: source, Attrs: h.tree(s.attrs, &r, more)})
			if err != nil {
				e.refuse(r.Level, err)
				continue
			}
		}
		for _, o := range e.outputs {
			if r.Level >= o.least {
				o.push(s.buf, r.Level)
			}
		}
	}
	if cap(s.buf) <= maxScratch {
		clear(s.attrs)
		s.attrs = s.attrs[:0]
		scratches.Put(s)
	}
	if r.Level >= f.waitAt {
		f.sync(r.Level)
	}
	if f.exit != nil && r.Level >= f.exitAt {
		f.exit(1)
	}
	return nil
}

// encode writes head, context, prefix, attributes and end.
func (h *handler) encode(s *scratch, enc incremental, pre prefix, r *slog.Record, more []slog.Attr, source string) []byte {
	w := writer{f: h.front, enc: enc, dst: enc.head(s.buf[:0], r.Time, r.Level, h.name, r.Message, source), groups: s.groups[:0]}
	for _, a := range s.attrs {
		w.attr(a)
	}
	w.dst = append(w.dst, pre.data...)
	if r.NumAttrs() > 0 || len(more) > 0 {
		w.groups, w.opened = h.groups, pre.open
		before := len(w.dst)
		w.openAll()
		start := len(w.dst)
		r.Attrs(w.each)
		for _, a := range more {
			w.each(a)
		}
		if len(w.dst) == start {
			w.dst, w.opened = w.dst[:before], pre.open
		}
	} else {
		w.opened = pre.open
	}
	for range w.opened {
		w.dst = enc.shut(w.dst)
	}
	return enc.end(w.dst)
}

// writer appends attributes in one encoding.
type writer struct {
	f      *front
	enc    incremental
	dst    []byte
	groups []string
	opened int
}

func (w *writer) openAll() {
	for ; w.opened < len(w.groups); w.opened++ {
		w.dst = w.enc.open(w.dst, w.groups[:w.opened], w.groups[w.opened])
	}
}

func (w *writer) each(a slog.Attr) bool {
	if k := a.Value.Kind(); k == slog.KindAny || k == slog.KindLogValuer || k == slog.KindGroup || !w.f.asIs {
		w.attr(a)
	} else { // the most of them: nothing to resolve, to replace or to leave out
		w.dst = w.enc.attr(w.dst, w.groups, a)
	}
	return true
}

func (w *writer) attr(a slog.Attr) {
	a, ok := w.f.resolve(w.groups, a)
	if !ok {
		return
	}
	if a.Value.Kind() != slog.KindGroup {
		w.dst = w.enc.attr(w.dst, w.groups, a)
		return
	}
	inner := a.Value.Group()
	if a.Key == "" { // its attributes belong here
		for _, b := range inner {
			w.attr(b)
		}
		return
	}
	before, groups := len(w.dst), w.groups
	w.dst = w.enc.open(w.dst, w.groups, a.Key)
	start := len(w.dst)
	w.groups = append(slices.Clip(groups), a.Key)
	for _, b := range inner {
		w.attr(b)
	}
	w.groups = groups
	if _, flat := w.enc.(flat); !flat && len(w.dst) == start {
		w.dst = w.dst[:before]
		return
	}
	w.dst = w.enc.shut(w.dst)
}

// flat is an encoding whose open writes nothing, so that an empty group is
// nothing by itself.
type flat interface{ flat() }

func (logfmt) flat() {}

// resolve returns what is to be written of a; false if nothing is.
func (f *front) resolve(groups []string, a slog.Attr) (slog.Attr, bool) {
	if a.Value.Kind() == slog.KindLogValuer {
		a.Value = a.Value.Resolve() // a panic of the LogValuer becomes a value
	}
	if f.replace != nil && a.Value.Kind() != slog.KindGroup {
		a = f.replace(groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Equal(slog.Attr{}) {
		return a, false
	}
	if f.redact != nil && (f.redact.has(a.Key) || slices.ContainsFunc(groups, f.redact.has)) {
		a.Value = slog.StringValue(redacted)
	}
	return a, true
}

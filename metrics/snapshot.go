package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// snapshot copies the state of everything. sampler is the index of the driver
// whose samples are to be taken, or -1.
func (r *registry) snapshot(sampler int) Snapshot {
	r.collect()
	r.mu.Lock()
	families := slices.Collect(maps.Values(r.families))
	r.mu.Unlock()
	snap := Snapshot{Time: time.Now(), Resource: slices.Clone(r.resource), Families: make([]Family, 0, len(families))}
	for _, f := range families {
		if one := f.snapshot(sampler); len(one.Series) > 0 {
			snap.Families = append(snap.Families, one)
		}
	}
	if r.runtime != nil {
		for _, one := range r.runtime() {
			if !slices.ContainsFunc(snap.Families, func(f Family) bool { return f.Name == one.Name }) {
				snap.Families = append(snap.Families, one)
			}
		}
	}
	slices.SortFunc(snap.Families, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	return snap
}

// snapshot copies the state of an instrument. Functions are called at the end,
// since they may take their time.
func (f *family) snapshot(sampler int) Family {
	f.mu.Lock()
	all := f.inOrder()
	one := Family{Name: f.name, Help: f.help, Unit: f.unit, Kind: f.kind, Keys: f.keys, Bounds: f.bounds, Series: make([]Series, len(all))}
	var buckets []uint64 // of all series, in one piece
	if f.kind == KindHistogram {
		buckets = make([]uint64, len(all)*(len(f.bounds)+1))
	}
	var functions []int
	for i, s := range all {
		out := &one.Series[i]
		out.ID, out.Values, out.Created = s.id, s.values, s.created
		switch {
		case s.read != nil:
			functions = append(functions, i)
		case s.counter != nil:
			out.Count = s.counter.n.Load() &^ gone
			out.Value = float64(out.Count)
		case s.upDown != nil:
			out.Value = float64(s.upDown.n.Load())
		case s.gauge != nil:
			out.Value = floatOf(&s.gauge.bits)
		default:
			n := len(s.histogram.buckets)
			out.Buckets, buckets = buckets[:n:n], buckets[n:]
			s.histogram.snapshot(out, sampler)
		}
	}
	f.mu.Unlock()
	for _, i := range functions {
		v, ok := all[i].read.value()
		one.Series[i].Value = v
		if !ok || !finite(v) {
			one.Series[i].ID = 0
		}
	}
	if functions != nil {
		one.Series = slices.DeleteFunc(one.Series, func(s Series) bool { return s.ID == 0 })
	}
	return one
}

// inOrder returns the series by their values. f.mu is held.
func (f *family) inOrder() []*series {
	if f.sorted != nil {
		return f.sorted
	}
	all := slices.AppendSeq(make([]*series, 0, len(f.series)+1), maps.Values(f.series))
	if f.overflow != nil {
		all = append(all, f.overflow)
	}
	slices.SortFunc(all, func(a, b *series) int { return slices.Compare(a.values, b.values) })
	f.sorted = all
	return all
}

// snapshot writes the state of h into out, whose Buckets have their length.
func (h *histogram) snapshot(out *Series, sampler int) {
	if h.native != nil {
		h.native.mu.Lock()
		defer h.native.mu.Unlock()
		out.Native = h.native.copy()
	}
	for i := range h.buckets {
		out.Buckets[i] = h.buckets[i].Load() &^ gone
		out.Count += out.Buckets[i]
	}
	out.Sum = floatOf(&h.sum)
	out.Exemplars = h.exemplars.snapshot()
	if sampler >= 0 {
		out.Samples = h.samples[sampler].take()
	}
}

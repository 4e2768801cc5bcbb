package kubernetes

import (
	"maps"
	"time"

	"github.com/micro/go-platform/discovery"
)

// held is a slice, and for one of ours what is known of its owner's life.
type held struct {
	*endpointSlice
	label   string
	version uint64
	entry   *discovery.Entry
	beat    string
	seen    time.Time // when beat was seen first
	expired bool
}

// miss notes whom the registry has lost: an older version of it is back, or
// nothing of what was there before an outage is there still. Without such a sign
// what is missing was deleted.
func (v *view) miss(before map[string]*held) {
	for _, h := range before {
		if v.lost[h.label] == nil {
			v.lost[h.label] = map[string]bool{}
		}
		for _, id := range h.ids() {
			v.lost[h.label][id] = true
		}
	}
	for _, h := range v.byName {
		v.found(h)
	}
}

// found notes that those of a slice are not lost.
func (v *view) found(h *held) {
	if all := v.lost[h.label]; all != nil {
		for _, id := range h.ids() {
			delete(all, id)
		}
	}
}

// ids are those of the instances of a slice.
func (h *held) ids() (all []string) {
	if h.entry != nil {
		return []string{h.entry.ID}
	}
	for _, p := range h.Endpoints {
		if id := p.id(); id != "" {
			all = append(all, id)
		}
	}
	return all
}

// put takes over one slice, unless a list has shown a newer one.
func (v *view) put(s *endpointSlice) {
	version, label := number(s.ResourceVersion), s.Labels[serviceLabel]
	old := v.byName[s.Name]
	if version <= v.floors[label] || old != nil && version <= old.version {
		return
	}
	if old != nil && old.label != label {
		v.drop(old)
		v.wakeOf(old.label, true)
	}
	h := v.hold(s, old)
	only := old != nil && old.entry != nil && h.entry != nil && !old.expired && old.Annotations[entryNote] == s.Annotations[entryNote]
	v.wakeOf(label, !only) // else it was a heartbeat
}

// hold stores a slice. What is known of the life of its owner stays.
func (v *view) hold(s *endpointSlice, old *held) *held {
	h := &held{endpointSlice: s, label: s.Labels[serviceLabel], version: number(s.ResourceVersion)}
	if e, ok := entryOf(s); ok {
		h.entry, h.beat, h.seen = &e, s.Annotations[heartbeatNote], time.Now()
		if old != nil && old.entry != nil && old.UID == s.UID && old.beat == h.beat {
			h.seen, h.expired = old.seen, old.expired && e.TTL > 0
		}
	}
	v.byName[s.Name] = h
	if v.services[h.label] == nil {
		v.services[h.label] = map[string]*held{}
	}
	v.services[h.label][s.Name] = h
	v.found(h)
	return h
}

// remove takes note that a slice is there no longer at a version.
func (v *view) remove(name string, version uint64) {
	h := v.byName[name]
	if h == nil || version <= h.version {
		return
	}
	v.drop(h)
	v.wakeOf(h.label, true)
}

func (v *view) drop(h *held) {
	delete(v.byName, h.Name)
	delete(v.services[h.label], h.Name)
	if len(v.services[h.label]) == 0 {
		delete(v.services, h.label)
	}
}

// listed takes over what a list of one label has shown, which may be newer than
// what the watch has told. Events that it precedes are left out from then on.
func (v *view) listed(label string, all []*endpointSlice, version uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if version < v.floors[label] {
		return
	}
	there := map[string]bool{}
	for _, s := range all {
		there[s.Name] = true
		v.put(s)
	}
	for name, h := range maps.Clone(v.services[label]) {
		if !there[name] && h.version <= version {
			v.drop(h)
			v.wakeOf(label, true)
		}
	}
	v.floors[label] = version
	v.heard = time.Now()
}

// doubt gives every owner its time again: the API server did not answer, and
// heartbeats may not have reached it either.
func (v *view) doubt() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range v.byName {
		h.seen = time.Now()
	}
}

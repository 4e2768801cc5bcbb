package event

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// journalGroup is a group in the file of the groups.
type journalGroup struct {
	Name  string   `json:"name"`
	Types []string `json:"types"`
	After uint64   `json:"after"` // all up to here is acknowledged
}

func (j *journal) loadGroups(m *memory) error {
	b, err := os.ReadFile(filepath.Join(j.dir, "groups.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var list []journalGroup
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return err
	}
	for _, g := range list {
		types, err := parsePatterns(g.Types...)
		if err != nil {
			return err
		}
		m.groups[g.Name] = &memGroup{
			name: g.Name, types: types, done: min(max(g.After, m.log.base), m.log.end),
		}
	}
	return nil
}

// encodeGroups returns the file of the groups. The memory's mutex is held.
func (m *memory) encodeGroups() []byte {
	list := []journalGroup{}
	for _, g := range m.groups {
		list = append(list, journalGroup{Name: g.name, Types: g.types.List(), After: g.done})
	}
	slices.SortFunc(list, func(a, b journalGroup) int { return cmp.Compare(a.Name, b.Name) })
	b, _ := json.MarshalIndent(list, "", "\t") // strings and numbers can't fail
	return b
}

// writeGroups replaces the file of the groups as a whole.
func (j *journal) writeGroups(b []byte) error {
	tmp := filepath.Join(j.dir, "groups.tmp")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && j.synced {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(j.dir, "groups.json")); err != nil {
		return err
	}
	return j.enter(j.dir)
}

// keepGroups writes the groups when they have moved.
func (j *journal) keepGroups(m *memory) {
	tick := time.NewTicker(groupsEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
		}
		m.mu.Lock()
		if j.dirty {
			if err := j.writeGroups(m.encodeGroups()); err == nil {
				j.dirty = false
			}
		}
		m.mu.Unlock()
	}
}

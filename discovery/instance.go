package discovery

import (
	"maps"
	"slices"
	"strings"
)

func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func equalInstances(a, b *Instance) bool {
	return a.ID == b.ID && a.Service == b.Service && a.Version == b.Version && a.Address == b.Address &&
		a.Zone == b.Zone && a.Weight == b.Weight && a.Status == b.Status &&
		slices.Equal(a.Endpoints, b.Endpoints) && maps.Equal(a.Labels, b.Labels)
}

func byID(a, b Instance) int { return strings.Compare(a.ID, b.ID) }

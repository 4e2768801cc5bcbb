package event

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// A group that is divided is one group of the driver for each part.

// roll is the name under which the members of a group attend. Those that divide it in
// another way, if only until they find out, are not among them.
func (o *subscribeOptions) roll() string { return o.group + "/" + strconv.Itoa(o.partitions) }

// partGroup names the group of one part.
func partGroup(group string, part, of int) string {
	return fmt.Sprintf("%s [%d/%d]", group, part+1, of)
}

// wholeGroup reads what partGroup wrote; of is 0 if it is another name.
func wholeGroup(name string) (group string, of int) {
	i := strings.LastIndex(name, " [")
	if i < 1 || !strings.HasSuffix(name, "]") {
		return name, 0
	}
	a, b, _ := strings.Cut(name[i+2:len(name)-1], "/")
	part, err := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if err != nil || err2 != nil || part < 1 || part > n || name != partGroup(name[:i], part-1, n) {
		return name, 0
	}
	return name[:i], n
}

// foldGroups makes one of the groups of the parts: what is pending of all, and how far
// the slowest is behind, since each reads everything.
func foldGroups(list []GroupInfo) []GroupInfo {
	whole := map[string]int{}
	out := list[:0:0]
	for _, g := range list {
		name, of := wholeGroup(g.Name)
		if of == 0 {
			out = append(out, g)
			continue
		}
		i, ok := whole[name]
		if !ok {
			whole[name] = len(out)
			out = append(out, GroupInfo{Name: name, Types: g.Types, Lag: g.Lag, Partitions: of})
			continue
		}
		out[i].Lag.Pending += g.Lag.Pending
		if out[i].Lag.Behind >= 0 && (g.Lag.Behind < 0 || g.Lag.Behind > out[i].Lag.Behind) {
			out[i].Lag.Behind = g.Lag.Behind
		}
	}
	slices.SortFunc(out, func(a, b GroupInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// checkParts refuses a group that is divided in another way, or not at all, and reports
// whether it is there.
func (f *front) checkParts(ctx context.Context, o *subscribeOptions) (there bool, err error) {
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		switch name, of := wholeGroup(g.Name); {
		case name != o.group:
		case of == o.partitions:
			there = true
		case of == 0:
			return there, fault.Markf(ErrConflict, "group %q is not divided: delete it first, or use another name", name)
		default:
			return there, fault.Markf(ErrConflict, "group %q has %d partitions, not %d: delete it first, or use another name", name, of, o.partitions)
		}
	}
	return there, nil
}

// makeParts makes the groups of all parts. Somebody may have made the group in another
// way since it was looked for: then what was made here is removed, unless others use it
// already.
func (f *front) makeParts(ctx context.Context, o *subscribeOptions, r roster) error {
	there, err := f.checkParts(ctx, o)
	if err != nil {
		return err
	}
	if _, err := r.Attend(ctx, o.roll(), o.consumer, o.ackWait); err != nil {
		return err
	}
	for p := range o.partitions {
		m, err := f.open(ctx, o.part(p))
		if err != nil {
			return err
		}
		if err := m.Close(ctx); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	_, err = f.checkParts(ctx, o)
	if err == nil {
		return nil
	}
	members, failed := r.Attend(ctx, o.roll(), o.consumer, 0)
	if failed == nil && !slices.ContainsFunc(members, func(name string) bool { return name != o.consumer }) {
		for p := range o.partitions {
			f.driver.DeleteGroup(ctx, partGroup(o.group, p, o.partitions)) // if it fails, the next Subscribe returns ErrConflict
		}
	}
	return err
}

// checkWhole refuses a group that is divided to who does not divide it: it would be
// another group of the same name, which is handed everything once more. fresh: the group
// is not there yet, and settleWhole must follow when it is.
func (f *front) checkWhole(ctx context.Context, o *subscribeOptions) (fresh bool, err error) {
	if _, divides := f.driver.(roster); !divides || o.group == "" {
		return false, nil
	}
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return false, err
	}
	fresh = true
	for _, g := range groups {
		switch name, of := wholeGroup(g.Name); {
		case name != o.group:
		case of == 0:
			fresh = false
		default:
			return false, fault.Markf(ErrConflict, "group %q has %d partitions: subscribe with Partitions, delete it first, or use another name", name, of)
		}
	}
	return fresh, nil
}

// yielding is how long who divides a group may take to find that another has made it
// undivided in the meantime.
const yielding = time.Second

// settleWhole is checkWhole for a group that was just made. Who divides it at the same
// time gives way, unless it was there first.
func (f *front) settleWhole(ctx context.Context, o *subscribeOptions) error {
	for began := time.Now(); ; {
		_, err := f.checkWhole(ctx, o)
		if err == nil || !errors.Is(err, ErrConflict) {
			return err
		}
		if time.Since(began) > yielding {
			return err
		}
		if err := backoff.Sleep(ctx, yielding/10); err != nil {
			return err
		}
	}
}

// deleteParts removes the groups of the parts, and reports whether there were any.
func (f *front) deleteParts(ctx context.Context, name string) (bool, error) {
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return false, err
	}
	found := false
	for _, g := range groups {
		if whole, of := wholeGroup(g.Name); whole == name && of > 0 {
			if err := f.driver.DeleteGroup(ctx, g.Name); err != nil && !errors.Is(err, fault.NotFound) {
				return true, err
			}
			found = true
		}
	}
	return found, nil
}

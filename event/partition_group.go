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

// checkParts refuses a group that is divided in another way, or not at all, and returns
// which of its parts are not there.
func (f *front) checkParts(ctx context.Context, o *subscribeOptions) (missing []int, err error) {
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, g := range groups {
		switch name, of := wholeGroup(g.Name); {
		case name != o.group:
		case of == o.partitions:
			there[g.Name] = true
		case of == 0:
			return nil, fault.Markf(ErrConflict, "group %q is not divided: delete it first, or use another name", name)
		default:
			return nil, fault.Markf(ErrConflict, "group %q has %d partitions, not %d: delete it first, or use another name", name, of, o.partitions)
		}
	}
	for p := range o.partitions {
		if !there[partGroup(o.group, p, o.partitions)] {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// makers is the name under which those attend that may be making parts of a group, in
// whatever number, or removing what they made. It is no longer than the name of a part's
// group, which backends have room for.
func (o *subscribeOptions) makers() string { return o.group + "/maker" }

// cleaners is the name under which those of them attend that remove parts.
func (o *subscribeOptions) cleaners() string { return o.group + "/clean" }

// makeParts makes the groups of the parts that are not there. No driver makes several
// groups at once, so somebody may make the group undivided, or in other parts, at the
// same time. These rules leave it in one way:
//
//   - Who makes parts attends as a maker from before it looks until it is done.
//   - If all parts were there and nobody else was a maker, they stay. Else it looks again
//     when it has joined all, as it may have made them, and gives way if the group is
//     there in another way by then.
//   - Who gives way or fails removes parts, unless others attend in this number of parts:
//     they look for themselves. It attends as a cleaner from before it asks for others
//     until the parts are gone. Who looks again waits until there is no cleaner, and makes
//     what is missing then: the cleaner may not have seen it.
//   - Who made the group undivided gives way to parts once there is no maker; see
//     settleWhole.
func (f *front) makeParts(ctx context.Context, o *subscribeOptions, r roster) error {
	ends, _ := ctx.Deadline()
	ttl := time.Until(ends) + 2*withdrawing // until what it made is removed, with room
	_, err := r.Attend(ctx, o.makers(), o.consumer, ttl)
	if err == nil {
		_, err = r.Attend(ctx, o.roll(), o.consumer, o.ackWait)
	}
	var makers []string
	if err == nil { // who is not among them removes nothing any more, or sees this one on the roll
		makers, err = r.Attend(ctx, o.makers(), o.consumer, ttl)
	}
	var missing, remove []int
	if err == nil {
		missing, err = f.checkParts(ctx, o)
	}
	if err == nil {
		settled := len(missing) == 0 && !others(makers, o.consumer)
		remove, err = f.joinParts(ctx, o, missing)
		if err == nil && !settled {
			remove, err = f.lookAgain(ctx, o, r, remove)
		}
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawing)
	defer cancel()
	if err != nil {
		f.removeParts(bounded, o, r, remove)
	}
	r.Attend(bounded, o.makers(), o.consumer, 0) // if it fails, it ends by itself
	return err
}

// lookAgain is for who has joined all parts and may have done so beside others. It
// returns which parts to remove if it fails; made are those it has made so far.
func (f *front) lookAgain(ctx context.Context, o *subscribeOptions, r roster, made []int) (remove []int, err error) {
	for {
		_, err := r.Attend(ctx, o.roll(), o.consumer, o.ackWait) // the first time may be over
		var cleaners []string
		if err == nil {
			cleaners, err = r.Attend(ctx, o.cleaners(), o.consumer, 0) // only asks
		}
		if err != nil {
			return made, err
		}
		missing, err := f.checkParts(ctx, o)
		switch {
		case errors.Is(err, ErrConflict):
			return o.allParts(), err
		case err == nil && others(cleaners, o.consumer):
			err = backoff.Sleep(ctx, settling)
		case err == nil && len(missing) == 0:
			return nil, nil
		case err == nil:
			var more []int
			more, err = f.joinParts(ctx, o, missing)
			made = append(made, more...)
		}
		if err != nil {
			return made, err
		}
	}
}

// removeParts leaves the roll and removes parts, if nobody else is on it. What it can't
// remove has the next Subscribe return ErrConflict.
func (f *front) removeParts(ctx context.Context, o *subscribeOptions, r roster, parts []int) {
	_, err := r.Attend(ctx, o.cleaners(), o.consumer, 2*withdrawing)
	members, err2 := r.Attend(ctx, o.roll(), o.consumer, 0)
	if err == nil && err2 == nil && !others(members, o.consumer) {
		for _, p := range parts {
			f.driver.DeleteGroup(ctx, partGroup(o.group, p, o.partitions))
		}
	}
	r.Attend(ctx, o.cleaners(), o.consumer, 0)
}

// withdrawing is how long Subscribe may take to remove what it made, after it has failed.
const withdrawing = time.Second

// joinParts joins the groups of all parts, which makes those that are missing, and leaves
// them. It returns which of these it has made, or may have.
func (f *front) joinParts(ctx context.Context, o *subscribeOptions, missing []int) (made []int, err error) {
	for p := range o.partitions {
		if slices.Contains(missing, p) {
			made = append(made, p)
		}
		m, err := f.open(ctx, o.part(p))
		if err == nil {
			err = m.Close(ctx)
		}
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

func (o *subscribeOptions) allParts() []int {
	all := make([]int, o.partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// others reports whether names has any other than name.
func others(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return n != name })
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

// settling is the time between two looks at a group that somebody else is making.
const settling = 100 * time.Millisecond

// settleWhole is checkWhole for a group that was just made. While there are makers of
// parts it waits for them: they find the group and give way. Parts that are there without
// a maker, twice in a row, were there first: then it reports that the group must go.
// Others may have joined it, but none that saw no parts.
func (f *front) settleWhole(ctx context.Context, o *subscribeOptions) (remove bool, err error) {
	r, me := f.driver.(roster), newConsumer()
	for quiet := 0; ; {
		_, err = f.checkWhole(ctx, o)
		conflict := errors.Is(err, ErrConflict)
		if !conflict || quiet == 2 {
			return conflict, err
		}
		if backoff.Sleep(ctx, settling) != nil {
			return false, err // it stays, and DeleteGroup removes it with the parts
		}
		makers, failed := r.Attend(ctx, o.makers(), me, 0) // only asks
		if failed != nil {
			return false, failed
		}
		quiet++
		if len(makers) > 0 {
			quiet = 0
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

package router

// SelectOption narrows or steers one Select. An option is a plain value: keep
// a slice of them and pass it on, and Pick does not allocate.
type SelectOption struct {
	kind   selectKind
	text   string
	labels *labelSet
	ids    []string
}

type selectKind uint8

const (
	byNothing selectKind = iota
	byLabels
	byMethod
	byKey
	byExclusion
)

// Labels narrows to instances that carry all of the labels, as far as the
// fallback ladder lets it. No labels means no narrowing. The map must not be
// changed afterwards.
func Labels(all map[string]string) SelectOption {
	if len(all) == 0 {
		return SelectOption{kind: byLabels}
	}
	return SelectOption{kind: byLabels, labels: newLabelSet(all)}
}

// Method names the method that will be called, for rules. It must come from a bounded set.
func Method(name string) SelectOption { return SelectOption{kind: byMethod, text: name} }

// Key makes the choice sticky: with the consistent hash strategy, and for the
// branch of a rule, equal keys give equal choices while the instances are the
// same.
func Key(key string) SelectOption { return SelectOption{kind: byKey, text: key} }

// Exclude leaves out instances by id, unless nothing else is left.
func Exclude(ids ...string) SelectOption { return SelectOption{kind: byExclusion, ids: ids} }

package openfeature

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/micro/go-platform/config"
	of "github.com/open-feature/go-sdk/openfeature"
)

// flag is one that has been checked.
type flag struct {
	variants map[string]any // nil: one value for everybody
	value    any            // of a flag without variants
	normal   string         // the variant of whom no rule fits
	rules    []rule
	disabled bool
	text     string // of the whole, to see what changed
}

type rule struct {
	match   map[string][]any
	variant string // or
	by      string
	split   []share
}

type share struct {
	variant string
	end     float64 // in per cent, from the end of the share before
}

// definition is a flag with variants as it is written.
type definition struct {
	Variants map[string]any
	Default  string
	Disabled bool
	Rules    []struct {
		Match   map[string]any
		Variant string
		Split   map[string]float64
		By      string
	}
}

// compile checks all flags below a value.
func compile(v config.Value) (map[string]*flag, error) {
	all := map[string]*flag{}
	if !v.Exists() {
		return all, nil
	}
	if v.Kind() != config.Object {
		return nil, fmt.Errorf("%s is no object of flags", v.Path())
	}
	var errs []error
	for key, value := range v.Each() {
		f, err := parse(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("flag %q: %w", key, err))
			continue
		}
		f.text = string(value.Bytes())
		all[key] = f
	}
	return all, errors.Join(errs...)
}

func parse(v config.Value) (*flag, error) {
	if v.Kind() != config.Object || !v.At("variants").Exists() {
		return &flag{value: v.Any()}, nil
	}
	var d definition
	err := v.Scan(&d)
	if err != nil {
		return nil, err
	}
	f := &flag{variants: d.Variants, normal: d.Default, disabled: d.Disabled}
	switch {
	case len(d.Variants) == 0:
		return nil, errors.New("no variants")
	case d.Default == "":
		return nil, errors.New("no default")
	}
	if err := f.has(d.Default); err != nil {
		return nil, err
	}
	if err := alike(d.Variants); err != nil {
		return nil, err
	}
	for i, r := range d.Rules {
		compiled := rule{match: map[string][]any{}, variant: r.Variant, by: cmp.Or(r.By, of.TargetingKey)}
		for attribute, want := range r.Match {
			list, ok := want.([]any)
			if !ok {
				list = []any{want}
			}
			compiled.match[attribute] = list
		}
		switch {
		case (r.Variant == "") == (len(r.Split) == 0):
			return nil, fmt.Errorf("rule %d: want either a variant or a split", i)
		case r.Variant != "":
			err = f.has(r.Variant)
		default:
			compiled.split, err = f.shares(r.Split)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i, err)
		}
		f.rules = append(f.rules, compiled)
	}
	return f, nil
}

func (f *flag) has(variant string) error {
	if _, ok := f.variants[variant]; !ok {
		return fmt.Errorf("%q is none of the variants %q", variant, slices.Sorted(maps.Keys(f.variants)))
	}
	return nil
}

// shares lays the shares of a split beside one another in the order of their
// names, so that every process draws alike.
func (f *flag) shares(split map[string]float64) (all []share, err error) {
	end := 0.0
	for _, variant := range slices.Sorted(maps.Keys(split)) {
		part := split[variant]
		if !(part >= 0 && part <= 100) {
			return nil, fmt.Errorf("a share of %v per cent", part)
		}
		if err := f.has(variant); err != nil {
			return nil, err
		}
		end += part
		all = append(all, share{variant, end})
	}
	if end > 100+1e-9 {
		return nil, fmt.Errorf("shares add up to %v per cent", end)
	}
	return all, nil
}

// alike refuses variants of different types: no caller could ask for such a flag.
func alike(variants map[string]any) error {
	first := ""
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		kind := kindOf(variants[name])
		if first == "" {
			first = kind
		}
		if kind != first {
			return fmt.Errorf("variant %q is %s, another is %s", name, kind, first)
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case nil:
		return "null"
	case map[string]any, []any:
		return "an object"
	}
	return "a number"
}

// errNoKey says that a split has nothing to draw by.
var errNoKey = errors.New("no targeting key")

// decide returns the variant for a context, why, and its value.
func (f *flag) decide(key string, attributes of.FlattenedContext) (variant string, value any, reason of.Reason, err error) {
	if f.variants == nil {
		return "", f.value, of.StaticReason, nil
	}
	for i := range f.rules {
		r := &f.rules[i]
		if !r.fits(attributes) {
			continue
		}
		if r.variant != "" {
			return r.variant, f.variants[r.variant], of.TargetingMatchReason, nil
		}
		by, ok := attributes[r.by]
		if !ok || by == "" {
			return "", nil, of.ErrorReason, fmt.Errorf("%w: the context has no %q", errNoKey, r.by)
		}
		variant = r.draw(key, fmt.Sprint(by))
		if variant == "" {
			variant = f.normal
		}
		return variant, f.variants[variant], of.SplitReason, nil
	}
	reason = of.DefaultReason
	if len(f.rules) == 0 {
		reason = of.StaticReason
	}
	return f.normal, f.variants[f.normal], reason, nil
}

func (r *rule) fits(attributes of.FlattenedContext) bool {
	for name, wanted := range r.match {
		have, ok := attributes[name]
		if !ok || !slices.ContainsFunc(wanted, func(want any) bool { return equal(have, want) }) {
			return false
		}
	}
	return true
}

// draw returns the variant of a user, "" for the rest.
func (r *rule) draw(flag, user string) string {
	h := fnv.New64a()
	h.Write([]byte(flag))
	h.Write([]byte{0})
	h.Write([]byte(user))
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits differ little between short texts: MurmurHash3's finalizer
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	at := float64(x>>11) / (1 << 53) * 100
	for _, s := range r.split {
		if at < s.end {
			return s.variant
		}
	}
	return ""
}

package config

import (
	"cmp"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/strictjson"
)

// limit is the value of a min or a max.
type limit struct {
	exact *big.Rat // of whole numbers: 64 bits are more than a float64 holds
	float float64  // of others
}

// newLimit reads the limit of a number or a duration. It is written as JSON
// writes it, since it becomes part of the schema.
func newLimit(t reflect.Type, s string) (limit, error) {
	if s == "" {
		return limit{}, nil
	}
	text := &tree{kind: Text, text: s}
	switch k := t.Kind(); {
	case t == durationType:
		d, ok := text.asDuration()
		if ok {
			return limit{exact: new(big.Rat).SetInt64(int64(d))}, nil
		}
	case number(k) && strictjson.ValidNumber(s):
		f, ok := text.asFloat()
		exact, exactOK := new(big.Rat).SetString(s)
		if ok && exactOK {
			return limit{exact, f}, nil
		}
	}
	return limit{}, fmt.Errorf("%q is no limit for %s", s, t)
}

func number(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr
}

// compare compares dst, which was read from t, with the limit.
func (l limit) compare(dst reflect.Value, t *tree) int {
	switch {
	case dst.CanInt():
		return new(big.Rat).SetInt64(dst.Int()).Cmp(l.exact)
	case dst.CanUint():
		return new(big.Rat).SetInt(new(big.Int).SetUint64(dst.Uint())).Cmp(l.exact)
	}
	f, _ := t.asFloat() // not dst: as a float32, 0.1 is more than 0.1
	return cmp.Compare(f, l.float)
}

// outside reports whether dst, which was read from t, is below min or above max.
func (f *field) outside(dst reflect.Value, t *tree) bool {
	return f.min != "" && f.lo.compare(dst, t) < 0 || f.max != "" && f.hi.compare(dst, t) > 0
}

func (f *field) span() string {
	switch {
	case f.max == "":
		return "of " + f.min + " or more"
	case f.min == "":
		return "of " + f.max + " or less"
	}
	return "from " + f.min + " to " + f.max
}

// allow reads the values of enum if they are numbers.
func (f *field) allow() error {
	t := f.value()
	if t == durationType || decodesItself(t) || !number(t.Kind()) {
		return nil
	}
	for _, e := range f.enum {
		v := reflect.New(t).Elem()
		d := decoder{types: new(types)}
		d.decode(v, &tree{kind: Text, text: e}, "", nil)
		if len(d.errs) > 0 || !strictjson.ValidNumber(e) {
			return fmt.Errorf("%q is no %s", e, t)
		}
		f.allowed = append(f.allowed, v.Interface())
	}
	return nil
}

// excluded reports whether dst, which was read from t, is not in enum. Numbers
// are compared by value, everything else as it is written.
func (f *field) excluded(dst reflect.Value, t *tree) bool {
	switch {
	case len(f.enum) == 0:
		return false
	case f.allowed != nil:
		return !slices.Contains(f.allowed, dst.Interface())
	case t.kind == String || t.kind == Text:
		return !slices.Contains(f.enum, t.text)
	}
	return true
}

func (d *decoder) limits(dst reflect.Value, t *tree, path string, f *field) {
	if f.outside(dst, t) {
		d.want(path, t, "a value "+f.span())
	}
	if f.excluded(dst, t) {
		d.want(path, t, "one of "+strings.Join(f.enum, ", "))
	}
}

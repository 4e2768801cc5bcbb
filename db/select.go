package db

import "slices"

// Select has a search return the records without Data and with no metadata but
// these keys, none for no keys: less to read where only that is wanted. Such a
// record must not be given to Update, which would remove the rest: its Version
// is 0.
func Select(keys ...string) SearchOption {
	return func(o *searchOptions) error {
		for _, k := range keys {
			if err := checkKey(k); err != nil {
				return err
			}
		}
		o.selected, o.keys = true, slices.Clone(keys)
		return nil
	}
}

// only keeps of a record what a Select asks for.
func (r *Record) only(keys []string) {
	var md map[string]any
	for _, k := range keys {
		if v, ok := r.Metadata[k]; ok {
			if md == nil {
				md = make(map[string]any, len(keys))
			}
			md[k] = v
		}
	}
	r.Metadata, r.Data, r.ContentType, r.Version = md, nil, "", 0
}

// Package extension turns the metadata of records into extension attributes of
// CloudEvents and back. Every binding of CloudEvents here writes them alike.
package extension

import (
	"encoding/json"
	"maps"
	"strings"
)

// core are the attributes that are no extensions, or extensions of our own.
var core = map[string]bool{
	"specversion": true, "id": true, "source": true, "type": true, "time": true, "subject": true, "datacontenttype": true,
	"data": true, "data_base64": true, "rootid": true, "parentid": true, "metadata": true,
}

// Core reports whether a name is an attribute that says something else than one
// entry of the metadata.
func Core(name string) bool { return core[name] }

// plain reports whether CloudEvents takes a name as it is.
func plain(k string) bool {
	return k != "" && !core[k] && !strings.ContainsFunc(k, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') })
}

// Write calls set for each extension that stands for entries of the metadata: one
// for each whose key is a name that CloudEvents allows, and "metadata" for the
// others together.
func Write(metadata map[string]string, set func(name, value string)) {
	if len(metadata) == 0 {
		return
	}
	others := map[string]string{}
	for k, v := range metadata {
		if plain(k) && v != "" {
			set(k, v)
		} else {
			others[k] = v
		}
	}
	if foreign, ok := others["metadata"]; ok && len(others) == 1 && packed(foreign) == nil && foreign != "" {
		set("metadata", foreign) // somebody else's extension of the name
	} else if len(others) > 0 {
		set("metadata", pack(others))
	}
}

// Read adds what Write wrote as "metadata" to md, or the extension of somebody
// else that has the name, and returns md, made if it was nil.
func Read(md map[string]string, packedTogether string) map[string]string {
	if packedTogether == "" {
		return md
	}
	if md == nil {
		md = map[string]string{}
	}
	others := packed(packedTogether)
	if others == nil {
		others = map[string]string{"metadata": packedTogether}
	}
	maps.Copy(md, others)
	return md
}

func pack(others map[string]string) string {
	j, _ := json.Marshal(others) // strings can't fail
	return string(j)
}

// packed reads what pack wrote, and returns nil for an extension of somebody else
// that has the name: what it holds would not be packed like this.
func packed(s string) map[string]string {
	var others map[string]string
	if json.Unmarshal([]byte(s), &others) != nil || len(others) == 0 || pack(others) != s {
		return nil
	}
	for k, v := range others {
		if plain(k) && v != "" {
			return nil
		}
	}
	if foreign, ok := others["metadata"]; ok && len(others) == 1 && foreign != "" && packed(foreign) == nil {
		return nil
	}
	return others
}

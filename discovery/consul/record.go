package consul

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// Limits of a service's Meta in Consul's source (agent/structs, 1.21).
const (
	metaValue  = 512
	metaChunks = 56 // of 64 pairs
	metaPrefix = "go-platform-"
)

// serviceName is what Consul calls a service. "~" stands in no name of ours
// and needs no escape in a URL.
func serviceName(service string) string { return strings.Replace(service, "/", "~", 1) }

func ourName(name string) string { return strings.Replace(name, "~", "/", 1) }

// serviceID is unique on an agent: the name and the id, with everything that
// is special in a URL as ~XX.
func serviceID(service, id string) string {
	var b strings.Builder
	b.WriteString(serviceName(service))
	b.WriteString("~~")
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._:@+", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "~%02X", c)
		}
	}
	return b.String()
}

// checkID names the owner, so that a heartbeat is for its own entry only.
func checkID(e discovery.Entry) string {
	return "service:" + serviceID(e.Service, e.ID) + "~~" + e.Owner
}

// meta cuts an entry into values of the size that Consul takes, between runes.
func meta(e discovery.Entry) (map[string]string, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	m := map[string]string{}
	for n := 0; len(raw) > 0; n++ {
		if n == metaChunks {
			return nil, fault.Markf(fault.TooLarge, "the instance is more than %d bytes", metaChunks*metaValue)
		}
		end := min(len(raw), metaValue)
		for end < len(raw) && !utf8.RuneStart(raw[end]) {
			end--
		}
		m[metaPrefix+strconv.Itoa(n)] = string(raw[:end])
		raw = raw[end:]
	}
	// For those who look at Consul itself.
	for k, v := range map[string]string{"version": e.Version, "zone": e.Zone} {
		if v != "" && len(v) <= metaValue {
			m[k] = v
		}
	}
	return m, nil
}

// digest is a short number of what meta wrote.
func digest(m map[string]string) string {
	h := fnv.New64a()
	for n := 0; ; n++ {
		part, ok := m[metaPrefix+strconv.Itoa(n)]
		if !ok {
			return strconv.FormatUint(h.Sum64(), 36)
		}
		h.Write([]byte(part))
	}
}

// entry reads what meta wrote, or makes the best of somebody else's service.
func entry(s *api.AgentService, node *api.Node) discovery.Entry {
	var raw strings.Builder
	for n := 0; ; n++ {
		part, ok := s.Meta[metaPrefix+strconv.Itoa(n)]
		if !ok {
			break
		}
		raw.WriteString(part)
	}
	var e discovery.Entry
	if raw.Len() > 0 && json.Unmarshal([]byte(raw.String()), &e) == nil && e.ID != "" {
		return e
	}
	host := s.Address
	if host == "" && node != nil {
		host = node.Address
	}
	in := discovery.Instance{
		ID: s.ID, Version: s.Meta["version"], Zone: s.Meta["zone"],
		Address: net.JoinHostPort(host, strconv.Itoa(s.Port)), Weight: s.Weights.Passing,
	}
	if len(s.Meta) > 0 {
		in.Labels = s.Meta
	}
	return discovery.Entry{Instance: in}
}

// health reads the checks of an entry.
func health(e *api.ServiceEntry) (expired, maintenance bool) {
	for _, c := range e.Checks {
		switch {
		case c.CheckID == api.NodeMaint || strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix):
			maintenance = true
		case c.Status == api.HealthCritical:
			expired = true
		}
	}
	return expired, maintenance
}

package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/metadata"
	"github.com/seed-31c5bcb2/auth/internal/networks"
	"github.com/seed-31c5bcb2/auth/internal/text"
)

// This file has the members of the API's bodies. Package auth checks all of them again: they are
// checked here so that one answer names every fault, those of the JSON and those of the values.

// readTokenJSON reads a request for a token. Its name, scopes and lifetime are required, so that
// the most access and the longest lifetime have to be asked for.
func (r *request) readTokenJSON() (auth.TokenOptions, error) {
	o := auth.TokenOptions{Lifetime: auth.NoExpiry}
	var seconds *int64
	var entries entriesJSON
	err := readJSON(r.Request,
		field{name: "name", into: &o.Name, check: func() string { return text.CheckName(o.Name, maxName) }},
		field{name: "scopes", into: &o.Scopes, check: func() string { return r.checkScopeNames(o.Scopes) }},
		field{name: "expires_in", into: &seconds, nullable: true, check: func() (fault string) {
			o.Lifetime, fault = r.lifetimeOf(seconds)
			return fault
		}},
		r.networksField(&o.Networks, new(bool)),
		r.metadataField(&entries),
	)
	o.Metadata = entries.set()
	return o, err
}

// readUpdateJSON reads a request to change a token. A member that is absent stays as it is.
func (r *request) readUpdateJSON() (u auth.TokenUpdate, err error) {
	var name string
	var scopes []string
	var from []netip.Prefix
	var entries entriesJSON
	var hasName, hasScopes, hasNetworks bool
	err = readJSON(r.Request,
		field{name: "name", into: &name, present: &hasName, check: func() string { return text.CheckName(name, maxName) }},
		field{name: "scopes", into: &scopes, present: &hasScopes, check: func() string { return r.checkScopeNames(scopes) }},
		r.networksField(&from, &hasNetworks),
		r.metadataField(&entries),
	)
	if hasName {
		u.Name = &name
	}
	if hasScopes {
		u.Scopes = &scopes
	}
	if hasNetworks {
		u.Networks = &from
	}
	u.Metadata = entries
	return u, err
}

// checkScopeNames returns what is wrong with the scopes of a token.
func (r *request) checkScopeNames(names []string) (fault string) {
	if _, err := auth.ParseScopes(names); err != nil {
		return faultOf(err)
	}
	known := r.bearer.Policy().Scopes
	for _, name := range names {
		if known != nil && name != auth.FullAccess && !slices.Contains(known, name) {
			return fmt.Sprintf("%.40q does not exist", name)
		}
	}
	return ""
}

func faultOf(err error) string {
	var e *auth.ArgumentError
	if errors.As(err, &e) {
		return e.Fault
	}
	return "is invalid"
}

// lifetimeOf returns a lifetime of n seconds, or forever if n is nil.
func (r *request) lifetimeOf(n *int64) (lifetime time.Duration, fault string) {
	limit := r.bearer.Policy().MaxLifetime
	lifetime, ok := auth.NoExpiry, true
	if n != nil {
		lifetime, ok = inSeconds(*n)
	}
	if !ok || lifetime < time.Minute || limit > 0 && lifetime > limit {
		return 0, lifetimeDetail
	}
	return lifetime, ""
}

// inSeconds returns a duration of n seconds. It reports false if n is negative or
// the duration would overflow.
func inSeconds(n int64) (time.Duration, bool) {
	d := time.Duration(n) * time.Second
	return d, n >= 0 && d/time.Second == time.Duration(n)
}

// networksField is the member networks, whose value null is for anywhere.
func (r *request) networksField(into *[]netip.Prefix, present *bool) field {
	texts := new([]string)
	return field{name: "networks", into: texts, nullable: true, present: present, check: func() (fault string) {
		*into, fault = r.parseNetworks(*texts)
		return fault
	}}
}

// parseNetworks parses networks and single addresses. Texts that are nil are for anywhere.
func (r *request) parseNetworks(texts []string) (prefixes []netip.Prefix, fault string) {
	if texts == nil {
		return nil, ""
	}
	if !r.knowsAddresses() {
		return nil, "cannot be set: this service does not know the addresses of its clients"
	}
	if len(texts) == 0 || len(texts) > networks.Max {
		return nil, fmt.Sprintf("must be 1 to %d networks, or null for anywhere", networks.Max)
	}
	for _, text := range texts {
		p, err := parseNetwork(text)
		if err != nil {
			return nil, fmt.Sprintf("%.60q is not a network, such as 192.0.2.0/24 or 2001:db8::/32", text)
		}
		prefixes = append(prefixes, p)
	}
	list, fault := networks.Format(prefixes)
	return networks.All(list), fault // as the token will have them, for BeforeIssue and BeforeUpdate too
}

// metadataField is the member metadata, whose entries are strings, or null for none.
func (r *request) metadataField(into *entriesJSON) field {
	return field{name: "metadata", into: into, present: new(bool), check: func() string { return r.checkEntries(*into) }}
}

func (r *request) checkEntries(entries entriesJSON) (fault string) {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if fault := r.checkEntry(key, entries[key]); fault != "" {
			return fault
		}
	}
	_, fault = metadata.Format(entries.set())
	return fault
}

// checkEntry returns what is wrong with an entry of the metadata that a user sets, or deletes if
// value is nil.
func (r *request) checkEntry(key string, value *string) (fault string) {
	switch {
	case !r.metadataKey(key):
		return fmt.Sprintf("the key %.70q cannot be set", key)
	case value == nil:
		return ""
	}
	if _, fault = metadata.Format(map[string]string{key: *value}); fault != "" {
		return fault
	}
	if fault = text.CheckLine(*value); fault != "" {
		return "the value of " + key + " " + fault
	}
	return ""
}

// metadataKey reports whether users may see and set an entry of the metadata.
func (h *handler) metadataKey(key string) bool {
	return slices.ContainsFunc(h.metadataKeys, func(k MetadataKey) bool { return k.Key == key })
}

// entriesJSON is an object whose values are strings or null. A key that is repeated is an error,
// as it is in the body itself.
type entriesJSON map[string]*string

// set returns the entries that are not null, or nil if there are none.
func (e entriesJSON) set() map[string]string {
	var entries map[string]string
	for key, value := range e {
		if value != nil {
			if entries == nil {
				entries = make(map[string]string)
			}
			entries[key] = *value
		}
	}
	return entries
}

func (e *entriesJSON) UnmarshalJSON(object []byte) error {
	*e = make(entriesJSON)
	return eachMember(object, func(name string, value json.RawMessage) error {
		var text *string
		if err := json.Unmarshal(value, &text); err != nil {
			return err
		}
		if _, repeated := (*e)[name]; repeated {
			return errors.New("a key is repeated")
		}
		(*e)[name] = text
		return nil
	})
}

// readOverlap reads a body with the field overlap, and the other fields given.
func (r *request) readOverlap(others ...field) (overlap time.Duration, err error) {
	var seconds int64
	err = readJSON(r.Request, append(others, field{name: "overlap", into: &seconds, check: func() string {
		ok := false
		if overlap, ok = inSeconds(seconds); !ok {
			return overlapDetail
		}
		return ""
	}})...)
	return overlap, err
}

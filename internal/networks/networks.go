// Package networks keeps lists of IP networks in the form in which credentials have them:
// canonical prefixes, sorted, separated by single spaces. All functions are safe for concurrent
// use.
package networks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Max is the longest list.
const Max = 16

// Format returns the list of some prefixes, or what is wrong with them. IPv4-mapped prefixes
// become IPv4. Duplicates are removed.
func Format(prefixes []netip.Prefix) (list, fault string) {
	if len(prefixes) == 0 || len(prefixes) > Max {
		return "", fmt.Sprintf("must be 1 to %d networks, or nil for anywhere", Max)
	}
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		canonical, fault := unmap(p)
		if fault != "" {
			return "", fault
		}
		texts[i] = canonical.String()
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " "), ""
}

// unmap returns the prefix in the form that Contains compares. It rejects a prefix with bits
// after its length: 10.1.2.3/8 may have been meant as 10.1.2.3/32, which admits much less.
func unmap(p netip.Prefix) (netip.Prefix, string) {
	if !p.IsValid() {
		return p, "must not have an invalid network"
	}
	if p != p.Masked() {
		return p, fmt.Sprintf("%v has bits after its length: use %v, or the length %d", p, p.Masked(), p.Addr().BitLen())
	}
	if !p.Addr().Is4In6() {
		return p, ""
	}
	const mapped = 96 // the length of ::ffff:0:0/96
	if p.Bits() < mapped {
		return p, fmt.Sprintf("%v contains no address: IPv4 addresses are compared as IPv4", p)
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped), ""
}

// Contain reports whether one of the networks of a list contains an address. An IPv4-mapped
// address is an IPv4 address. One with a zone, or the zero Addr, is in no network.
func Contain(list string, a netip.Addr) bool {
	if a.Zone() != "" { // which Unmap would drop
		return false
	}
	a = a.Unmap()
	for text := range strings.SplitSeq(list, " ") {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

// All returns the networks of a list.
func All(list string) []netip.Prefix {
	var all []netip.Prefix
	for text := range strings.FieldsSeq(list) {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

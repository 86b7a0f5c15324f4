package settings

import (
	"encoding/json"
	"maps"
	"strings"
)

// describe makes the OpenAPI document of this configuration: the cookie has its own
// name, and where there are no client secrets they are not in it.
func (h *handler) describe() {
	var doc map[string]any
	must(0, json.Unmarshal(must(files.ReadFile("openapi.json")), &doc))
	paths := doc["paths"].(map[string]any)
	components := doc["components"].(map[string]any)
	schemes := components["securitySchemes"].(map[string]any)
	schemes["cookie"].(map[string]any)["name"] = h.cookie.Policy().Name
	if h.secret == nil {
		maps.DeleteFunc(paths, func(path string, _ any) bool { return strings.HasPrefix(path, "/secret") })
		delete(schemes, "secret")
	}
	h.assets["/api/openapi.json"] = asset{"application/json", "no-cache", must(json.MarshalIndent(doc, "", "  "))}
}

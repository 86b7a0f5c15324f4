package settings

import (
	"encoding/json"
	"maps"
	"strings"
)

// openAPI returns the OpenAPI document of this configuration, with its cookie name,
// and without client secrets if there are none.
func (h *handler) openAPI() asset {
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
	return asset{"application/json", "no-cache", must(json.MarshalIndent(doc, "", "  "))}
}

-- seats: the teams a person has a part in (an operator: all), with what their role is made of; by name, or those of
-- their own before the ones they oversee. Every page asks it.
SELECT t.*, m.role AS own_role, o.user_id IS NOT NULL AS is_owned
FROM tracking_team t
LEFT JOIN tracking_membership m ON m.team_id = t.id AND m.user_id = %(user)s
LEFT JOIN tracking_organization_owners o ON o.organization_id = t.organization_id AND o.user_id = %(user)s
WHERE (%(is_operator)s OR m.role IS NOT NULL OR o.user_id IS NOT NULL) AND (%(slug)s::text IS NULL OR t.slug = %(slug)s)
ORDER BY CASE WHEN %(own_first)s THEN m.role END NULLS LAST, t.name, t.id
LIMIT %(limit)s;
